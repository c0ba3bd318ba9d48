// Adagrad on the rows of a table that a batch has touched. Called from ../rows.py.
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr int64_t STRIP = 64;  // columns summed at a time: they stay in registers

// The positions of each distinct id, as chains: first[d] starts the d-th, next[position] goes on, -1 ends.
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

__attribute__((target_clones("avx512f", "avx2", "default")))
void update_row(float* weight, float* accumulator, const float* gradients, const Chains& chains, int64_t distinct,
                int64_t width, float rate, float epsilon) {
    for (int64_t c = 0; c < width; c += STRIP) {
        const int64_t columns = width - c < STRIP ? width - c : STRIP;
        float sum[STRIP] = {};
        for (int64_t at = chains.first[distinct]; at >= 0; at = chains.next[at])
            for (int64_t x = 0; x < columns; ++x) sum[x] += gradients[at * width + c + x];
        for (int64_t x = 0; x < columns; ++x) {
            accumulator[c + x] += sum[x] * sum[x];
            weight[c + x] -= rate * sum[x] / (std::sqrt(accumulator[c + x]) + epsilon);
        }
    }
}

}  // namespace

extern "C" void afm_adagrad_rows(float* weight, float* accumulator, const int64_t* ids, const float* gradients,
                                 int64_t count, int64_t width, float rate, float epsilon, int threads) {
    const Chains chains(ids, count);
    const int64_t distinct = static_cast<int64_t>(chains.first.size());
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t d = 0; d < distinct; ++d) {
        const int64_t row = ids[chains.first[d]] * width;
        update_row(weight + row, accumulator + row, gradients, chains, d, width, rate, epsilon);
    }
}
