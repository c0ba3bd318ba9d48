// The matrix products of pair attention, in float32 and in bfloat16 with float32 sums.
//
// Operands are stored in 4-byte elements: one float, or two bfloat16 that are adjacent along the summed axis. Both
// precisions therefore share all layouts; only the number of values per element differs.
#pragma once

#include "vectors.h"

namespace afm {

using Element = uint32_t;

struct Float32 {
    static constexpr int PER_ELEMENT = 1;

    static Vec multiply_add(Vec sum, __m512i a, __m512i b) {
        return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
    }
    static Element pack(const float* values) {
        Element element;
        __builtin_memcpy(&element, values, sizeof element);
        return element;
    }
    // One element per lane, from PER_ELEMENT vectors that are adjacent along the summed axis.
    static __m512i pack_lanes(const Vec* values) { return _mm512_castps_si512(values[0]); }
    static __m512i ones(const uint16_t* bits, int64_t stride) {
        (void)stride;
        return _mm512_castps_si512(_mm512_maskz_mov_ps(bits[0], all(1.0f)));
    }
    // sum += values where the bit is set; `bits` belong to PER_ELEMENT consecutive pairs.
    static Vec add_where(Vec sum, const uint16_t* bits, __m512i values) {
        return _mm512_mask_add_ps(sum, bits[0], sum, _mm512_castsi512_ps(values));
    }
    static __m512i pack_pairs(const Vec* values) { return _mm512_castps_si512(values[0]); }
};

struct BFloat16 {
    static constexpr int PER_ELEMENT = 2;

    static Vec multiply_add(Vec sum, __m512i a, __m512i b) {
        return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
    }
    static Element pack(const float* values) {
        const __m128 pair = _mm_set_ps(0.0f, 0.0f, values[1], values[0]);
        return static_cast<Element>(_mm_cvtsi128_si32(reinterpret_cast<__m128i>(_mm_cvtneps_pbh(pair))));
    }
    static __m512i pack_lanes(const Vec* values) {
        const __m512i zip = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                             21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        return _mm512_permutexvar_epi16(zip, pack_pairs(values));
    }
    static __m512i ones(const uint16_t* bits, int64_t stride) {
        const __m512i low = _mm512_maskz_mov_epi32(bits[0], _mm512_set1_epi32(0x00003F80)), high = _mm512_set1_epi32(0x3F800000);
        return _mm512_mask_or_epi32(low, bits[stride], low, high);
    }
    static Vec add_where(Vec sum, const uint16_t* bits, __m512i values) {
        uint32_t both;
        __builtin_memcpy(&both, bits, sizeof both);
        return multiply_add(sum, _mm512_maskz_mov_epi16(both, _mm512_set1_epi16(0x3F80)), values);
    }
    static __m512i pack_pairs(const Vec* values) {
        return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(values[1], values[0]));
    }
};

// out[m][n] += sum over s of left[m][s] * right[s][n], for M rows of `left` and N vectors of 16 lanes.
template <class Precision, int M, int N>
__attribute__((always_inline)) static inline void multiply(const Element* left, int64_t stride, const Element* right,
                                                           int64_t steps, Vec (&out)[M][N]) {
    for (int64_t s = 0; s < steps; ++s) {
        __m512i b[N];
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) b[n] = _mm512_loadu_si512(right + (s * N + n) * LANES);
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) {
            const __m512i a = _mm512_set1_epi32(static_cast<int>(left[m * stride + s]));
#pragma GCC unroll 8
            for (int n = 0; n < N; ++n) out[m][n] = Precision::multiply_add(out[m][n], a, b[n]);
        }
    }
}

static inline void add4(float* to, __m128 values) { _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), values)); }

// sums[a][c] += sum over lanes and pairs of bits[a][pair] * right[c][pair], for 4 rows a and 4 columns c.
template <class Precision>
static inline void multiply_bits(const uint16_t* bits, int64_t stride, const Element* right, int64_t steps, float* sums,
                                 int64_t sums_stride) {
    Vec out[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) out[i] = _mm512_setzero_ps();
    for (int64_t s = 0; s < steps; ++s) {
        __m512i b[4];
#pragma GCC unroll 4
        for (int c = 0; c < 4; ++c) b[c] = _mm512_loadu_si512(right + (c * steps + s) * LANES);
#pragma GCC unroll 4
        for (int a = 0; a < 4; ++a) {
            const uint16_t* at = bits + a * stride + s * Precision::PER_ELEMENT;
#pragma GCC unroll 4
            for (int c = 0; c < 4; ++c) out[4 * a + c] = Precision::add_where(out[4 * a + c], at, b[c]);
        }
    }
    const Vec found = lane_sums(out);
    add4(sums, _mm512_extractf32x4_ps(found, 0));
    add4(sums + sums_stride, _mm512_extractf32x4_ps(found, 1));
    add4(sums + 2 * sums_stride, _mm512_extractf32x4_ps(found, 2));
    add4(sums + 3 * sums_stride, _mm512_extractf32x4_ps(found, 3));
}

}  // namespace afm
