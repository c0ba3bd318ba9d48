// Vectors of 16 floats with one lane per row of the batch, and conversion between this layout and rows in memory.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace afm {

constexpr int LANES = 16;

using Vec = __m512;

static inline Vec load(const float* at) { return _mm512_loadu_ps(at); }
static inline void store(float* at, Vec value) { _mm512_storeu_ps(at, value); }
static inline Vec all(float value) { return _mm512_set1_ps(value); }
static inline __mmask16 first(int64_t count) {
    return count >= LANES ? 0xFFFF : static_cast<__mmask16>((1u << count) - 1u);
}

// e^x for x <= 0: Cody-Waite reduction and a degree-6 polynomial, within 2 ulp; -inf gives 0.
static inline Vec exponential(Vec x) {
    x = _mm512_max_ps(x, all(-104.0f));
    const Vec n = _mm512_roundscale_ps(_mm512_mul_ps(x, all(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    Vec r = _mm512_fnmadd_ps(n, all(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, all(-2.12194440e-4f), r);
    Vec y = all(1.0f / 720.0f);
    y = _mm512_fmadd_ps(y, r, all(1.0f / 120.0f));
    y = _mm512_fmadd_ps(y, r, all(1.0f / 24.0f));
    y = _mm512_fmadd_ps(y, r, all(1.0f / 6.0f));
    y = _mm512_fmadd_ps(y, r, all(0.5f));
    y = _mm512_fmadd_ps(y, r, all(1.0f));
    y = _mm512_fmadd_ps(y, r, all(1.0f));
    return _mm512_scalef_ps(y, n);
}

static inline void transpose(Vec (&x)[LANES]) {
    Vec t[LANES];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        for (int j = 0; j < 2; ++j) {
            const __m512d low = _mm512_castps_pd(t[i + j]), high = _mm512_castps_pd(t[i + j + 2]);
            x[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            x[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    }
    for (int half = 0; half < 16; half += 8) {
        for (int i = 0; i < 4; ++i) {
            t[half + i] = _mm512_shuffle_f32x4(x[half + i], x[half + i + 4], 0x88);
            t[half + i + 4] = _mm512_shuffle_f32x4(x[half + i], x[half + i + 4], 0xDD);
        }
    }
    for (int i = 0; i < 8; ++i) {
        x[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        x[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xDD);
    }
}

// Loads up to 16 rows of `columns` floats, `stride` apart and each multiplied by its `scale`, into to[column][row].
// Missing rows, and columns from `columns` to `padded`, become 0.
static inline void load_lanes(const float* from, int64_t stride, int64_t rows, int64_t columns, int64_t padded,
                              const float* scale, int64_t scale_stride, float* to) {
    for (int64_t c = 0; c < padded; c += LANES) {
        const __mmask16 there = first(columns > c ? columns - c : 0);
        Vec x[LANES];
        for (int r = 0; r < LANES; ++r) {
            x[r] = r < rows ? _mm512_maskz_loadu_ps(there, from + r * stride + c) : _mm512_setzero_ps();
            if (scale != nullptr && r < rows) x[r] = _mm512_mul_ps(x[r], all(scale[r * scale_stride]));
        }
        transpose(x);
        const int64_t count = padded - c < LANES ? padded - c : LANES;
        for (int64_t i = 0; i < count; ++i) store(to + (c + i) * LANES, x[i]);
    }
}

// The inverse: stores from[column][row], multiplied by the `scale` of the row, as `rows` rows of `columns` floats.
static inline void store_lanes(const float* from, int64_t rows, int64_t columns, const float* scale,
                               int64_t scale_stride, float* to, int64_t stride) {
    for (int64_t c = 0; c < columns; c += LANES) {
        const int64_t count = columns - c < LANES ? columns - c : LANES;
        Vec x[LANES];
        for (int64_t i = 0; i < LANES; ++i) x[i] = i < count ? load(from + (c + i) * LANES) : _mm512_setzero_ps();
        transpose(x);
        for (int64_t r = 0; r < rows; ++r) {
            const Vec scaled = scale != nullptr ? _mm512_mul_ps(x[r], all(scale[r * scale_stride])) : x[r];
            _mm512_mask_storeu_ps(to + r * stride + c, first(count), scaled);
        }
    }
}

// The sum over the lanes of each of 16 vectors, as one vector. Each round halves the number of vectors.
__attribute__((always_inline)) static inline Vec lane_sums(const Vec (&x)[LANES]) {
    Vec y[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
        y[i] = _mm512_add_ps(_mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]), _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
        const __m512d low = _mm512_castps_pd(y[2 * i]), high = _mm512_castps_pd(y[2 * i + 1]);
        y[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(low, high)),
                             _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)));
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i)
        y[i] = _mm512_add_ps(_mm512_shuffle_f32x4(y[2 * i], y[2 * i + 1], 0x88),
                             _mm512_shuffle_f32x4(y[2 * i], y[2 * i + 1], 0xDD));
    return _mm512_add_ps(_mm512_shuffle_f32x4(y[0], y[1], 0x88), _mm512_shuffle_f32x4(y[0], y[1], 0xDD));
}

}  // namespace afm
