// The arguments from Python: pointers into contiguous row-major tensors. ../native_cpu.py mirrors the layout.
#pragma once

#include <cstdint>

namespace afm {

constexpr int64_t MAX_FIELDS = 256;

struct Problem {
    int64_t rows, fields, k, t;
    const float* v;        // (rows, fields, k) embeddings
    const float* gate;     // (rows, fields) values x_i, 0 where masked
    const uint8_t* mask;   // (rows, fields)
    const float* W;        // (t, k)
    const float* b;        // (t)
    const float* h;        // (t)
    const float* keep;     // (rows, pairs) factors of attention dropout, or null
    float* pooled;         // (rows, k), written by forward
    float* weights;        // (rows, pairs), written by forward if not null, read by backward
    uint16_t* active;      // bits of ReLU, see Sizes; written by forward if not null, read by backward
    const float* d_pooled; // (rows, k); this and the following for backward only
    float* d_v;            // (rows, fields, k)
    float* d_W;            // (t, k)
    float* d_b;            // (t)
    float* d_h;            // (t)
};

// A tile is 16 rows of the batch. Its bits of ReLU are active[t_padded][pairs_padded], with one bit per row.
struct Sizes {
    int64_t pairs, pairs_padded, k_padded, t_padded, tiles;

    explicit Sizes(const Problem& p)
        : pairs(p.fields * (p.fields - 1) / 2),
          pairs_padded(up(pairs, 2)),
          k_padded(up(p.k, 4)),
          t_padded(up(p.t, 4)),
          tiles((p.rows + 15) / 16) {}

    int64_t active_of_a_tile() const { return t_padded * pairs_padded; }

    static int64_t up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }
};

}  // namespace afm
