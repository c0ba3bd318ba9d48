// One tile of 16 rows, forward and backward. Each lane is a row, so sums over fields, pairs and k need no shuffles. The
// interactions exist only as blocks of 4 pairs in the first-level cache.
#pragma once

#include "problem.h"
#include "products.h"

namespace afm {

constexpr int BLOCK = 4;  // pairs, or columns of k, processed at a time
constexpr int HEIGHT = 6;  // rows of W at a time: 6 x 4 sums, 4 operands and a broadcast use 29 of the 32 registers
constexpr int64_t CHUNK = 256;  // pairs summed at a time in backward: 4 columns of them fit into the first-level cache

struct Pair {
    int32_t i, j;
};

// What all tiles share, packed once per call.
struct Operands {
    const Pair* pairs;   // [pairs_padded], the last pair repeated as padding
    const Element* W;    // [t][k_padded / PER_ELEMENT]
    const Element* hW_T; // [k][t_padded / PER_ELEMENT]: h_a W_ak; backward only
};

// Scratch memory of one thread.
struct Scratch {
    float* terms;    // [fields][k_padded][16]: v_i x_i
    Element* block;  // operand of one product: [k, t or CHUNK][BLOCK][16]
    float* scores;   // [pairs_padded][16]: a', later the weights a
    float* used;     // [pairs_padded][16]: the weights after dropout
    float* pooled;   // [k_padded][16], in backward its gradient
    float* d_scores; // [pairs_padded][16]; this and the following for backward only
    float* d_terms;  // [fields][k_padded][16]
    float* sums;     // [t_padded][k_padded]: sum over rows and pairs of d score x bit x interaction
    float* counts;   // [t_padded][16]: sum over pairs of d score x bit

    Scratch(float* at, const Problem& p, const Sizes& s) {
        const auto take = [&at](int64_t count) { float* taken = at; at += count; return taken; };
        terms = take(p.fields * s.k_padded * LANES);
        block = reinterpret_cast<Element*>(take(block_floats(s)));
        scores = take(s.pairs_padded * LANES);
        used = take(s.pairs_padded * LANES);
        pooled = take(s.k_padded * LANES);
        d_scores = take(s.pairs_padded * LANES);
        d_terms = take(p.fields * s.k_padded * LANES);
        counts = take(s.t_padded * LANES);
        sums = take(s.t_padded * s.k_padded);
    }
    static int64_t floats(const Problem& p, const Sizes& s) {
        return block_floats(s) + s.t_padded * s.k_padded +
               (2 * p.fields * s.k_padded + 3 * s.pairs_padded + s.k_padded + s.t_padded) * LANES;
    }

private:
    static int64_t block_floats(const Sizes& s) {
        int64_t rows = s.pairs_padded < CHUNK ? s.pairs_padded : CHUNK;
        rows = rows > s.k_padded ? rows : s.k_padded;
        return (rows > s.t_padded ? rows : s.t_padded) * BLOCK * LANES;
    }
};

struct Tile {
    const Problem& p;
    const Sizes& s;
    const Operands& o;
    Scratch& scratch;
    int64_t row, rows;  // the first row, and the number of rows, at most 16
    uint16_t* active;   // the bits of this tile, or null

    const float* term(int64_t field) const { return scratch.terms + field * s.k_padded * LANES; }
    float* d_term(int64_t field) const { return scratch.d_terms + field * s.k_padded * LANES; }

    void load_terms() {
        for (int64_t f = 0; f < p.fields; ++f)
            load_lanes(p.v + (row * p.fields + f) * p.k, p.fields * p.k, rows, p.k, s.k_padded,
                       p.gate + row * p.fields + f, p.fields, scratch.terms + f * s.k_padded * LANES);
    }

    // used = weights x keep.
    void apply_dropout() {
        if (p.keep != nullptr)
            load_lanes(p.keep + row * s.pairs, s.pairs, rows, s.pairs, s.pairs_padded, nullptr, 0, scratch.used);
        for (int64_t q = 0; q < s.pairs_padded * LANES; q += LANES) {
            const Vec weight = load(scratch.scores + q);
            store(scratch.used + q, p.keep != nullptr ? _mm512_mul_ps(weight, load(scratch.used + q)) : weight);
        }
    }

    // ---- forward

    template <class Precision, int M, int N, bool TRAINING>
    void score_rows(int64_t a, int64_t q, int64_t steps) {
        Vec out[M][N];
        for (int m = 0; m < M; ++m)
            for (int n = 0; n < N; ++n) out[m][n] = all(p.b[a + m]);
        multiply<Precision, M, N>(o.W + a * steps, steps, scratch.block, steps, out);
        for (int n = 0; n < N; ++n) {
            Vec score = load(scratch.scores + (q + n) * LANES);
            for (int m = 0; m < M; ++m) {
                score = _mm512_fmadd_ps(all(p.h[a + m]), _mm512_max_ps(out[m][n], _mm512_setzero_ps()), score);
                if (TRAINING)
                    active[(a + m) * s.pairs_padded + q + n] =
                        _mm512_cmp_ps_mask(out[m][n], _mm512_setzero_ps(), _CMP_GT_OQ);
            }
            store(scratch.scores + (q + n) * LANES, score);
        }
    }

    // h^T ReLU(W (v_i * v_j) x_i x_j + b) of the N pairs from q.
    template <class Precision, int N, bool TRAINING>
    void score_pairs(int64_t q) {
        const int64_t steps = s.k_padded / Precision::PER_ELEMENT;
        for (int n = 0; n < N; ++n) {
            const float *left = term(o.pairs[q + n].i), *right = term(o.pairs[q + n].j);
            for (int64_t step = 0; step < steps; ++step) {
                Vec product[Precision::PER_ELEMENT];
                for (int e = 0; e < Precision::PER_ELEMENT; ++e) {
                    const int64_t at = (step * Precision::PER_ELEMENT + e) * LANES;
                    product[e] = _mm512_mul_ps(load(left + at), load(right + at));
                }
                _mm512_storeu_si512(scratch.block + (step * N + n) * LANES, Precision::pack_lanes(product));
            }
            store(scratch.scores + (q + n) * LANES, _mm512_setzero_ps());
        }
        int64_t a = 0;
        for (; a + HEIGHT <= p.t; a += HEIGHT) score_rows<Precision, HEIGHT, N, TRAINING>(a, q, steps);
        switch (p.t - a) {
            case 5: score_rows<Precision, 5, N, TRAINING>(a, q, steps); break;
            case 4: score_rows<Precision, 4, N, TRAINING>(a, q, steps); break;
            case 3: score_rows<Precision, 3, N, TRAINING>(a, q, steps); break;
            case 2: score_rows<Precision, 2, N, TRAINING>(a, q, steps); break;
            case 1: score_rows<Precision, 1, N, TRAINING>(a, q, steps); break;
            default: break;
        }
    }

    void softmax() {
        __mmask16 alive[MAX_FIELDS];
        for (int64_t f = 0; f < p.fields; ++f) {
            alive[f] = 0;
            for (int64_t r = 0; r < rows; ++r)
                if (p.mask[(row + r) * p.fields + f]) alive[f] |= static_cast<__mmask16>(1u << r);
        }
        const Vec nothing = all(-__builtin_inff());
        Vec highest = nothing, total = _mm512_setzero_ps();
        for (int64_t q = 0; q < s.pairs_padded; ++q) {
            const __mmask16 both = q < s.pairs ? alive[o.pairs[q].i] & alive[o.pairs[q].j] : 0;
            const Vec score = _mm512_mask_mov_ps(nothing, both, load(scratch.scores + q * LANES));
            store(scratch.scores + q * LANES, score);
            highest = _mm512_max_ps(highest, score);
        }
        const __mmask16 some = _mm512_cmp_ps_mask(highest, nothing, _CMP_NEQ_UQ);
        highest = _mm512_maskz_mov_ps(some, highest);
        for (int64_t q = 0; q < s.pairs_padded; ++q) {
            const Vec score = load(scratch.scores + q * LANES);
            const __mmask16 live = _mm512_cmp_ps_mask(score, nothing, _CMP_NEQ_UQ);
            const Vec weight = _mm512_maskz_mov_ps(live, exponential(_mm512_sub_ps(score, highest)));
            store(scratch.scores + q * LANES, weight);
            total = _mm512_add_ps(total, weight);
        }
        const Vec share = _mm512_maskz_div_ps(some, all(1.0f), total);
        for (int64_t q = 0; q < s.pairs; ++q)
            store(scratch.scores + q * LANES, _mm512_mul_ps(load(scratch.scores + q * LANES), share));
    }

    // sum_i e_i * (sum_{j > i} a_ij e_j), BLOCK columns of k at a time.
    void pool() {
        for (int64_t c = 0; c < s.k_padded; c += BLOCK) {
            Vec pooled[BLOCK];
            for (int x = 0; x < BLOCK; ++x) pooled[x] = _mm512_setzero_ps();
            const float* weight = scratch.used;
            for (int64_t i = 0; i + 1 < p.fields; ++i) {
                Vec inner[BLOCK];
                for (int x = 0; x < BLOCK; ++x) inner[x] = _mm512_setzero_ps();
                for (int64_t j = i + 1; j < p.fields; ++j, weight += LANES) {
                    const Vec a = load(weight);
                    for (int x = 0; x < BLOCK; ++x)
                        inner[x] = _mm512_fmadd_ps(a, load(term(j) + (c + x) * LANES), inner[x]);
                }
                for (int x = 0; x < BLOCK; ++x)
                    pooled[x] = _mm512_fmadd_ps(load(term(i) + (c + x) * LANES), inner[x], pooled[x]);
            }
            for (int x = 0; x < BLOCK; ++x) store(scratch.pooled + (c + x) * LANES, pooled[x]);
        }
    }

    template <class Precision, bool TRAINING>
    void forward() {
        load_terms();
        int64_t q = 0;
        for (; q + BLOCK <= s.pairs; q += BLOCK) score_pairs<Precision, BLOCK, TRAINING>(q);
        switch (s.pairs - q) {
            case 3: score_pairs<Precision, 3, TRAINING>(q); break;
            case 2: score_pairs<Precision, 2, TRAINING>(q); break;
            case 1: score_pairs<Precision, 1, TRAINING>(q); break;
            default: break;
        }
        softmax();
        apply_dropout();
        pool();
        store_lanes(scratch.pooled, rows, p.k, nullptr, 0, p.pooled + row * p.k, p.k);
        if (p.weights != nullptr)
            store_lanes(scratch.scores, rows, s.pairs, nullptr, 0, p.weights + row * s.pairs, s.pairs);
    }

    // ---- backward

    // d score = a (g - sum a g) with g = keep x (d pooled . interaction), where a keep = used.
    void softmax_backward() {
        float* scaled = reinterpret_cast<float*>(scratch.block);
        Vec total = _mm512_setzero_ps();
        for (int64_t i = 0, q = 0; i + 1 < p.fields; ++i) {
            for (int64_t c = 0; c < s.k_padded * LANES; c += LANES)
                store(scaled + c, _mm512_mul_ps(load(term(i) + c), load(scratch.pooled + c)));
            for (int64_t j = i + 1; j < p.fields; ++j, ++q) {
                Vec dot[BLOCK];
                for (int x = 0; x < BLOCK; ++x) dot[x] = _mm512_setzero_ps();
                for (int64_t c = 0; c < s.k_padded; c += BLOCK)
                    for (int x = 0; x < BLOCK; ++x)
                        dot[x] = _mm512_fmadd_ps(load(scaled + (c + x) * LANES), load(term(j) + (c + x) * LANES), dot[x]);
                const Vec sum = _mm512_add_ps(_mm512_add_ps(dot[0], dot[1]), _mm512_add_ps(dot[2], dot[3]));
                const Vec weighted = _mm512_mul_ps(load(scratch.used + q * LANES), sum);
                total = _mm512_add_ps(total, weighted);
                store(scratch.d_scores + q * LANES, weighted);
            }
        }
        for (int64_t q = 0; q < s.pairs_padded; ++q) {
            const Vec found = q < s.pairs ? load(scratch.d_scores + q * LANES) : _mm512_setzero_ps();
            const Vec weight = load(scratch.scores + q * LANES);
            store(scratch.d_scores + q * LANES, _mm512_fnmadd_ps(weight, total, found));
        }
    }

    template <class Precision, int M, int N>
    void d_interaction_rows(int64_t c, int64_t q, int64_t steps) {
        Vec out[M][N];
        for (int m = 0; m < M; ++m)
            for (int n = 0; n < N; ++n) out[m][n] = _mm512_setzero_ps();
        multiply<Precision, M, N>(o.hW_T + c * steps, steps, scratch.block, steps, out);
        for (int n = 0; n < N; ++n) {
            const Pair pair = o.pairs[q + n];
            const Vec d_score = load(scratch.d_scores + (q + n) * LANES), used = load(scratch.used + (q + n) * LANES);
            for (int m = 0; m < M; ++m) {
                const int64_t at = (c + m) * LANES;
                const Vec d = _mm512_fmadd_ps(used, load(scratch.pooled + at), _mm512_mul_ps(d_score, out[m][n]));
                store(d_term(pair.i) + at, _mm512_fmadd_ps(d, load(term(pair.j) + at), load(d_term(pair.i) + at)));
                store(d_term(pair.j) + at, _mm512_fmadd_ps(d, load(term(pair.i) + at), load(d_term(pair.j) + at)));
            }
        }
    }

    // d interaction = d score x (h * bits)^T W + used x d pooled, added to both features of the N pairs from q.
    template <class Precision, int N>
    void d_interactions(int64_t q) {
        const int64_t steps = s.t_padded / Precision::PER_ELEMENT;
        for (int64_t step = 0; step < steps; ++step)
            for (int n = 0; n < N; ++n)
                _mm512_storeu_si512(
                    scratch.block + (step * N + n) * LANES,
                    Precision::ones(active + step * Precision::PER_ELEMENT * s.pairs_padded + q + n, s.pairs_padded));
        int64_t c = 0;
        for (; c + HEIGHT <= p.k; c += HEIGHT) d_interaction_rows<Precision, HEIGHT, N>(c, q, steps);
        switch (p.k - c) {
            case 5: d_interaction_rows<Precision, 5, N>(c, q, steps); break;
            case 4: d_interaction_rows<Precision, 4, N>(c, q, steps); break;
            case 3: d_interaction_rows<Precision, 3, N>(c, q, steps); break;
            case 2: d_interaction_rows<Precision, 2, N>(c, q, steps); break;
            case 1: d_interaction_rows<Precision, 1, N>(c, q, steps); break;
            default: break;
        }
    }

    // sums += bits^T (d score x interaction), counts += d score x bit.
    template <class Precision>
    void accumulate() {
        constexpr int PER = Precision::PER_ELEMENT;
        for (int64_t q = 0; q < s.pairs_padded; q += CHUNK) {
            const int64_t steps = (s.pairs_padded - q < CHUNK ? s.pairs_padded - q : CHUNK) / PER;
            for (int64_t c = 0; c < s.k_padded; c += BLOCK) {
                for (int64_t step = 0; step < steps; ++step) {
                    for (int x = 0; x < BLOCK; ++x) {
                        Vec product[PER];
                        for (int e = 0; e < PER; ++e) {
                            const Pair pair = o.pairs[q + step * PER + e];
                            const int64_t at = (c + x) * LANES;
                            product[e] = _mm512_mul_ps(load(scratch.d_scores + (q + step * PER + e) * LANES),
                                                       _mm512_mul_ps(load(term(pair.i) + at), load(term(pair.j) + at)));
                        }
                        _mm512_storeu_si512(scratch.block + (x * steps + step) * LANES, Precision::pack_pairs(product));
                    }
                }
                for (int64_t a = 0; a < s.t_padded; a += BLOCK)
                    multiply_bits<Precision>(active + a * s.pairs_padded + q, s.pairs_padded, scratch.block, steps,
                                             scratch.sums + a * s.k_padded + c, s.k_padded);
            }
        }
        for (int64_t a = 0; a < p.t; ++a) {
            Vec count = load(scratch.counts + a * LANES);
            for (int64_t q = 0; q < s.pairs; ++q)
                count = _mm512_mask_add_ps(count, active[a * s.pairs_padded + q], count,
                                           load(scratch.d_scores + q * LANES));
            store(scratch.counts + a * LANES, count);
        }
    }

    template <class Precision>
    void backward() {
        load_terms();
        load_lanes(p.d_pooled + row * p.k, p.k, rows, p.k, s.k_padded, nullptr, 0, scratch.pooled);
        load_lanes(p.weights + row * s.pairs, s.pairs, rows, s.pairs, s.pairs_padded, nullptr, 0, scratch.scores);
        apply_dropout();
        softmax_backward();
        __builtin_memset(scratch.d_terms, 0, sizeof(float) * p.fields * s.k_padded * LANES);
        int64_t q = 0;
        for (; q + BLOCK <= s.pairs; q += BLOCK) d_interactions<Precision, BLOCK>(q);
        switch (s.pairs - q) {
            case 3: d_interactions<Precision, 3>(q); break;
            case 2: d_interactions<Precision, 2>(q); break;
            case 1: d_interactions<Precision, 1>(q); break;
            default: break;
        }
        accumulate<Precision>();
        for (int64_t f = 0; f < p.fields; ++f)
            store_lanes(d_term(f), rows, p.k, p.gate + row * p.fields + f, p.fields,
                        p.d_v + (row * p.fields + f) * p.k, p.fields * p.k);
    }
};

}  // namespace afm
