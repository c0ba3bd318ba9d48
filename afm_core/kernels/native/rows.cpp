// Looking up the rows of a table that a batch uses, and optimiser steps on these rows. Called from ../rows.py.
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t STRIP = 64;  // columns summed at a time, which fit into registers

// The positions of each distinct id as linked lists: first[d] is the first position of the d-th distinct id,
// next[position] the following one, -1 the end.
struct Chains {
    std::vector<int64_t> first, last, next;

    Chains(const int64_t* ids, int64_t count) : next(count, -1) {
        int bits = 4;
        while ((int64_t{1} << bits) < 2 * count) ++bits;
        std::vector<int64_t> slots(int64_t{1} << bits, -1);
        const uint64_t mask = slots.size() - 1;
        for (int64_t at = 0; at < count; ++at) {
            uint64_t slot = (static_cast<uint64_t>(ids[at]) * 0x9E3779B97F4A7C15u) >> (64 - bits);
            while (slots[slot] >= 0 && ids[first[slots[slot]]] != ids[at]) slot = (slot + 1) & mask;
            if (slots[slot] < 0) {
                slots[slot] = static_cast<int64_t>(first.size());
                first.push_back(at);
                last.push_back(at);
            } else {
                next[last[slots[slot]]] = at;
                last[slots[slot]] = at;
            }
        }
    }
};

// The gradient of a table before duplicates are summed: values[at * stride] belongs to row `ids[at]` of the table.
struct Gradient {
    const int64_t* ids;
    const float* values;
    int64_t width, stride;
    const Chains& chains;

    __attribute__((always_inline)) void sum(int64_t distinct, int64_t c, int64_t columns, float (&to)[STRIP]) const {
        for (int64_t x = 0; x < STRIP; ++x) to[x] = 0.0f;
        for (int64_t at = chains.first[distinct]; at >= 0; at = chains.next[at])
            for (int64_t x = 0; x < columns; ++x) to[x] += values[at * stride + c + x];
    }
};

// The compiler vectorises both functions for several processors. A share is 1 - beta, which Python computes in float64
// because float32 would lose precision.
__attribute__((target_clones("avx512f", "avx2", "default")))
void adagrad_row(float* __restrict weight, float* __restrict squares, const Gradient& gradient, int64_t distinct,
                 float rate, float epsilon) {
    for (int64_t c = 0; c < gradient.width; c += STRIP) {
        const int64_t columns = gradient.width - c < STRIP ? gradient.width - c : STRIP;
        float sum[STRIP];
        gradient.sum(distinct, c, columns, sum);
        for (int64_t x = 0; x < columns; ++x) {
            squares[c + x] += sum[x] * sum[x];
            weight[c + x] -= rate * sum[x] / (std::sqrt(squares[c + x]) + epsilon);
        }
    }
}

__attribute__((target_clones("avx512f", "avx2", "default")))
void adam_row(float* __restrict weight, float* __restrict mean, float* __restrict squares, const Gradient& gradient,
              int64_t distinct, float rate, float share1, float share2, float epsilon) {
    for (int64_t c = 0; c < gradient.width; c += STRIP) {
        const int64_t columns = gradient.width - c < STRIP ? gradient.width - c : STRIP;
        float sum[STRIP];
        gradient.sum(distinct, c, columns, sum);
        for (int64_t x = 0; x < columns; ++x) {
            mean[c + x] += share1 * (sum[x] - mean[c + x]);
            squares[c + x] += share2 * (sum[x] * sum[x] - squares[c + x]);
            weight[c + x] -= rate * mean[c + x] / (std::sqrt(squares[c + x]) + epsilon);
        }
    }
}

constexpr int64_t LINE = 16;    // floats of a cache line
constexpr int64_t ASKED = 128;  // cache lines to prefetch at a time

// How many rows ahead to prefetch when each step reads a row of each of `tables` tables.
int64_t rows_ahead(int64_t width, int64_t tables) {
    const int64_t lines = tables * ((width + LINE - 1) / LINE);
    return lines < ASKED / 2 ? ASKED / lines : 2;
}

// Calls `step(distinct, offset)` for each distinct row, whose cache lines have been prefetched: rows are scattered over
// the table.
template <int TABLES, class Step>
void for_each_row(const Gradient& gradient, float* const (&tables)[TABLES], int threads, const Step& step) {
    const int64_t distinct = static_cast<int64_t>(gradient.chains.first.size());
    const int64_t ahead = rows_ahead(gradient.width, TABLES);
    const auto offset = [&](int64_t d) { return gradient.ids[gradient.chains.first[d]] * gradient.width; };
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t d = 0; d < distinct; ++d) {
        if (d + ahead < distinct)
            for (const float* table : tables)
                for (int64_t c = 0; c < gradient.width; c += LINE) __builtin_prefetch(table + offset(d + ahead) + c, 1);
        step(d, offset(d));
    }
}

__attribute__((target_clones("avx512f", "avx2", "default")))
void sum_row(float* __restrict to, const Gradient& gradient, int64_t distinct) {
    for (int64_t c = 0; c < gradient.width; c += STRIP) {
        const int64_t columns = gradient.width - c < STRIP ? gradient.width - c : STRIP;
        float sum[STRIP];
        gradient.sum(distinct, c, columns, sum);
        for (int64_t x = 0; x < columns; ++x) to[c + x] = sum[x];
    }
}

// Calls `copy(at, row)` for the id at each position. Returns false if an id is not in 0 .. n-1; such ids are skipped.
template <class Copy>
bool gather(const float* table, int64_t n, const int64_t* ids, int64_t count, int64_t width, int threads,
            const Copy& copy) {
    const int64_t ahead = rows_ahead(width, 1);
    bool known = true;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(&& : known)
    for (int64_t at = 0; at < count; ++at) {
        if (at + ahead < count)
            for (int64_t c = 0; c < width; c += LINE) __builtin_prefetch(table + ids[at + ahead] * width + c);
        if (static_cast<uint64_t>(ids[at]) < static_cast<uint64_t>(n))
            copy(at, table + ids[at] * width);
        else
            known = false;
    }
    return known;
}

}  // namespace

extern "C" bool afm_gather_rows(const float* table, int64_t n, const int64_t* ids, int64_t count, int64_t width,
                                int threads, float* rows) {
    if (width == 1) return gather(table, n, ids, count, 1, threads, [=](int64_t at, const float* row) { rows[at] = *row; });
    return gather(table, n, ids, count, width, threads,
                  [=](int64_t at, const float* row) { std::memcpy(rows + at * width, row, width * sizeof(float)); });
}

// Sums the rows of each distinct id into `sums` and writes the ids to `distinct`, in the order of their first occurrence.
// Returns the number of distinct ids.
extern "C" int64_t afm_sum_rows(const int64_t* ids, const float* gradients, int64_t count, int64_t width, int64_t stride,
                                int threads, int64_t* distinct, float* sums, int64_t sums_stride) {
    const Chains chains(ids, count);
    const Gradient gradient{ids, gradients, width, stride, chains};
    const int64_t found = static_cast<int64_t>(chains.first.size());
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t d = 0; d < found; ++d) {
        distinct[d] = ids[chains.first[d]];
        sum_row(sums + d * sums_stride, gradient, d);
    }
    return found;
}

namespace {

__attribute__((target_clones("avx512f", "avx2", "default")))
void multiply(float* __restrict to, const float* left, const float* right, int64_t width) {
    for (int64_t x = 0; x < width; ++x) to[x] = left[x] * right[x];
}

__attribute__((target_clones("avx512f", "avx2", "default")))
void add_product(float* __restrict to, const float* left, const float* right, int64_t width, float factor) {
    for (int64_t x = 0; x < width; ++x) to[x] += factor * left[x] * right[x];
}

}  // namespace

// products[p] = table[first[p]] * table[second[p]], element by element.
extern "C" void afm_pair_products(const float* table, const int64_t* first, const int64_t* second, int64_t count,
                                  int64_t width, int threads, float* products) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t p = 0; p < count; ++p)
        multiply(products + p * width, table + first[p] * width, table + second[p] * width, width);
}

// Adds the gradient of the table, from that of the products. A thread adds up some columns in the order of the pairs, so
// that the result does not depend on the number of threads.
extern "C" void afm_add_pair_gradients(const float* table, const int64_t* first, const int64_t* second, int64_t count,
                                       int64_t width, int threads, const float* d_products, float* d_table) {
    const int64_t share = (width + threads * LINE - 1) / (threads * LINE) * LINE;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t begin = 0; begin < width; begin += share) {
        const int64_t columns = width - begin < share ? width - begin : share;
        for (int64_t p = 0; p < count; ++p) {
            const float* d = d_products + p * width + begin;
            const int64_t left = first[p] * width + begin, right = second[p] * width + begin;
            if (left == right) {  // a feature and itself
                add_product(d_table + left, d, table + left, columns, 2.0f);
                continue;
            }
            add_product(d_table + left, d, table + right, columns, 1.0f);
            add_product(d_table + right, d, table + left, columns, 1.0f);
        }
    }
}

// Numbers the distinct keys in the order of their first occurrence: `first` is the position of each one's first, and
// `inverse` the number of the key at each position. Returns how many there are.
extern "C" int64_t afm_distinct(const int64_t* keys, int64_t count, int64_t* first, int64_t* inverse) {
    const Chains chains(keys, count);
    const int64_t found = static_cast<int64_t>(chains.first.size());
    for (int64_t d = 0; d < found; ++d) {
        first[d] = chains.first[d];
        for (int64_t at = chains.first[d]; at >= 0; at = chains.next[at]) inverse[at] = d;
    }
    return found;
}

extern "C" void afm_adagrad_rows(float* weight, float* squares, const int64_t* ids, const float* gradients,
                                 int64_t count, int64_t width, int64_t stride, int threads, float rate, float epsilon) {
    const Chains chains(ids, count);
    const Gradient gradient{ids, gradients, width, stride, chains};
    for_each_row<2>(gradient, {weight, squares}, threads, [&](int64_t distinct, int64_t at) {
        adagrad_row(weight + at, squares + at, gradient, distinct, rate, epsilon);
    });
}

extern "C" void afm_adam_rows(float* weight, float* mean, float* squares, const int64_t* ids, const float* gradients,
                              int64_t count, int64_t width, int64_t stride, int threads, float rate, float share1,
                              float share2, float epsilon) {
    const Chains chains(ids, count);
    const Gradient gradient{ids, gradients, width, stride, chains};
    for_each_row<3>(gradient, {weight, mean, squares}, threads, [&](int64_t distinct, int64_t at) {
        adam_row(weight + at, mean + at, squares + at, gradient, distinct, rate, share1, share2, epsilon);
    });
}
