// Pair attention on processors with AVX-512, in bfloat16 if they also have AVX512-BF16. Called from ../native_cpu.py.
// Only the functions between the pragmas use these instructions; `afm_level` says whether they may be called.
#include <omp.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include "problem.h"

extern "C" int afm_level() {
    __builtin_cpu_init();
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return wide ? (__builtin_cpu_supports("avx512bf16") ? 2 : 1) : 0;
}

extern "C" int64_t afm_active_bits(const afm::Problem* p) {
    const afm::Sizes s(*p);
    return s.tiles * s.active_of_a_tile();
}

namespace {

// Each thread keeps its memory between calls; otherwise every call would fault in new pages.
float* scratch_floats(int64_t count) {
    struct Memory {
        float* at = nullptr;
        int64_t count = 0;
        ~Memory() { std::free(at); }
    };
    static thread_local Memory memory;
    if (memory.count < count) {
        std::free(memory.at);
        memory.at = static_cast<float*>(std::aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64));
        memory.count = memory.at != nullptr ? count : 0;
    }
    return memory.at;
}

}  // namespace

#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi2,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")

#include "tile.h"

namespace afm {
namespace {

std::vector<Pair> all_pairs(const Problem& p, const Sizes& s) {
    std::vector<Pair> pairs;
    pairs.reserve(s.pairs_padded);
    for (int32_t i = 0; i < p.fields; ++i)
        for (int32_t j = i + 1; j < p.fields; ++j) pairs.push_back({i, j});
    while (static_cast<int64_t>(pairs.size()) < s.pairs_padded) pairs.push_back(pairs.back());
    return pairs;
}

template <class Precision>
std::vector<Element> pack_W(const Problem& p, const Sizes& s) {
    constexpr int PER = Precision::PER_ELEMENT;
    std::vector<Element> packed(p.t * s.k_padded / PER);
    for (int64_t a = 0; a < p.t; ++a) {
        for (int64_t c = 0; c < s.k_padded; c += PER) {
            float values[PER];
            for (int e = 0; e < PER; ++e) values[e] = c + e < p.k ? p.W[a * p.k + c + e] : 0.0f;
            packed[(a * s.k_padded + c) / PER] = Precision::pack(values);
        }
    }
    return packed;
}

template <class Precision>
std::vector<Element> pack_hW_T(const Problem& p, const Sizes& s) {
    constexpr int PER = Precision::PER_ELEMENT;
    std::vector<Element> packed(p.k * s.t_padded / PER);
    for (int64_t a = 0; a < s.t_padded; a += PER) {
        for (int64_t c = 0; c < p.k; ++c) {
            float values[PER];
            for (int e = 0; e < PER; ++e) values[e] = a + e < p.t ? p.h[a + e] * p.W[(a + e) * p.k + c] : 0.0f;
            packed[(c * s.t_padded + a) / PER] = Precision::pack(values);
        }
    }
    return packed;
}

Tile tile_at(int64_t number, const Problem& p, const Sizes& s, const Operands& o, Scratch& scratch) {
    const int64_t row = number * LANES, left = p.rows - row;
    uint16_t* active = p.active != nullptr ? p.active + number * s.active_of_a_tile() : nullptr;
    return {p, s, o, scratch, row, left < LANES ? left : LANES, active};
}

template <class Precision, bool TRAINING>
bool forward(const Problem& p, int threads) {
    const Sizes s(p);
    const auto pairs = all_pairs(p, s);
    const auto W = pack_W<Precision>(p, s);
    const Operands operands{pairs.data(), W.data(), nullptr};
    bool enough = true;
#pragma omp parallel num_threads(threads) reduction(&& : enough)
    {
        float* memory = scratch_floats(Scratch::floats(p, s));
        enough = memory != nullptr;
        Scratch scratch(memory, p, s);
#pragma omp for schedule(static)
        for (int64_t number = 0; number < s.tiles; ++number)
            if (memory != nullptr) tile_at(number, p, s, operands, scratch).template forward<Precision, TRAINING>();
    }
    return enough;
}

// d W = h sums, d b = h counts, d h = sum_k W sums + b counts: the activations are not needed again.
void finish(const Problem& p, const Sizes& s, const std::vector<float>& sums, const std::vector<float>& counts) {
    for (int64_t a = 0; a < p.t; ++a) {
        float d_h = p.b[a] * counts[a];
        for (int64_t c = 0; c < p.k; ++c) {
            const float sum = sums[a * s.k_padded + c];
            p.d_W[a * p.k + c] = p.h[a] * sum;
            d_h += p.W[a * p.k + c] * sum;
        }
        p.d_b[a] = p.h[a] * counts[a];
        p.d_h[a] = d_h;
    }
}

template <class Precision>
bool backward(const Problem& p, int threads) {
    const Sizes s(p);
    const auto pairs = all_pairs(p, s);
    const auto hW_T = pack_hW_T<Precision>(p, s);
    const Operands operands{pairs.data(), nullptr, hW_T.data()};
    std::vector<float> sums(s.t_padded * s.k_padded), counts(p.t);
    bool enough = true;
#pragma omp parallel num_threads(threads) reduction(&& : enough)
    {
        float* memory = scratch_floats(Scratch::floats(p, s));
        enough = memory != nullptr;
        Scratch scratch(memory, p, s);
        if (memory != nullptr) {
            __builtin_memset(scratch.sums, 0, sizeof(float) * s.t_padded * s.k_padded);
            __builtin_memset(scratch.counts, 0, sizeof(float) * s.t_padded * LANES);
        }
#pragma omp for schedule(static)
        for (int64_t number = 0; number < s.tiles; ++number)
            if (memory != nullptr) tile_at(number, p, s, operands, scratch).template backward<Precision>();
        // In the order of the threads, so that the result is the same in every call with the same number of threads.
#pragma omp for ordered schedule(static, 1)
        for (int thread = 0; thread < omp_get_num_threads(); ++thread) {
#pragma omp ordered
            if (memory != nullptr) {
                for (int64_t at = 0; at < s.t_padded * s.k_padded; ++at) sums[at] += scratch.sums[at];
                for (int64_t a = 0; a < p.t; ++a) counts[a] += _mm512_reduce_add_ps(load(scratch.counts + a * LANES));
            }
        }
    }
    finish(p, s, sums, counts);
    return enough;
}

}  // namespace
}  // namespace afm

// Both return false if they run out of memory.
extern "C" bool afm_forward(const afm::Problem* p, bool bf16, int threads) {
    const bool training = p->active != nullptr;
    if (bf16)
        return training ? afm::forward<afm::BFloat16, true>(*p, threads) : afm::forward<afm::BFloat16, false>(*p, threads);
    return training ? afm::forward<afm::Float32, true>(*p, threads) : afm::forward<afm::Float32, false>(*p, threads);
}

extern "C" bool afm_backward(const afm::Problem* p, bool bf16, int threads) {
    return bf16 ? afm::backward<afm::BFloat16>(*p, threads) : afm::backward<afm::Float32>(*p, threads);
}

#pragma GCC pop_options
