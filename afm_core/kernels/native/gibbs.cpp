// One sweep of Gibbs sampling for a factorization machine. Called from ../../learning/gibbs.py.
//
// Features are numbered field by field. A row has one feature of most fields, so that the features of such a field share
// no row: they are drawn in parallel, and the result does not depend on the number of threads. Tags of a field, of which
// a row may have several, are drawn one after another.
#include <omp.h>

#include <cmath>
#include <cstdint>

namespace {

// The finaliser of SplitMix64 (Steele et al. 2014).
uint64_t mixed(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

// Random numbers that depend on nothing but a key and the index of what they are drawn for.
class Draws {
public:
    Draws(uint64_t key, int64_t index) : state_(mixed(key + mixed(static_cast<uint64_t>(index)))) {}

    // In (0, 1).
    double uniform() {
        state_ = mixed(state_);
        return (static_cast<double>(state_ >> 11) + 0.5) * 0x1p-53;
    }

    double normal() {
        const double radius = std::sqrt(-2.0 * std::log(uniform()));
        return radius * std::cos(6.283185307179586 * uniform());
    }

    // A standard normal number above `low` (Robert 1995).
    double normal_above(double low) {
        if (low < 0.5) {
            double drawn = normal();
            while (drawn <= low) drawn = normal();
            return drawn;
        }
        const double rate = 0.5 * (low + std::sqrt(low * low + 4.0));
        for (;;) {
            const double drawn = low - std::log(uniform()) / rate;
            if (uniform() <= std::exp(-0.5 * (drawn - rate) * (drawn - rate))) return drawn;
        }
    }

private:
    uint64_t state_;
};

}  // namespace

// The rows of each feature: feature j has x[at] in row[at] for at from start[j] to start[j + 1] - 1.
struct Features {
    int64_t fields;
    const int64_t* first;      // feature of each field, and one more
    const uint8_t* exclusive;  // whether a row has at most one feature of the field
    const int64_t* start;
    const int32_t* row;
    const float* x;

    // Whether threads may draw the features of a field, and it has rows enough to be worth it.
    bool in_parallel(int64_t field) const {
        return exclusive[field] && start[first[field + 1]] - start[first[field]] > 4096;
    }
};

// Draws one weight of each feature, w_i or one element of v_i, from its distribution given all others, and updates the
// residuals. A feature without rows gets the mean of its field.
//
// mean, precision: of the weights of each field. noise: the precision of the residuals. sums: space for one number per
// row, in which sum_i v_i x_i is kept; null for w_i.
extern "C" void afm_gibbs_weights(const Features* features, const double* mean, const double* precision, double noise,
                                  uint64_t key, int threads, double* weight, double* residual, double* sums) {
    const int64_t* const start = features->start;
    const int32_t* const row = features->row;
    const float* const x = features->x;
    if (sums)
        for (int64_t field = 0; field < features->fields; ++field) {
#pragma omp parallel for if (features->in_parallel(field)) num_threads(threads) schedule(dynamic, 8)
            for (int64_t j = features->first[field]; j < features->first[field + 1]; ++j)
                for (int64_t at = start[j]; at < start[j + 1]; ++at) sums[row[at]] += weight[j] * x[at];
        }
    for (int64_t field = 0; field < features->fields; ++field) {
#pragma omp parallel for if (features->in_parallel(field)) num_threads(threads) schedule(dynamic, 8)
        for (int64_t j = features->first[field]; j < features->first[field + 1]; ++j) {
            if (start[j] == start[j + 1]) {
                weight[j] = mean[field];
                continue;
            }
            const double before = weight[j];
            // The output is h * weight[j] plus what does not depend on it.
            const auto h = [&](int64_t at) { return sums ? x[at] * (sums[row[at]] - before * x[at]) : x[at]; };
            double squares = 0.0, products = 0.0;
            for (int64_t at = start[j]; at < start[j + 1]; ++at) {
                squares += h(at) * h(at);
                products += h(at) * residual[row[at]];
            }
            const double total = noise * squares + precision[field];
            const double expected = (noise * (products + before * squares) + precision[field] * mean[field]) / total;
            weight[j] = expected + Draws(key, j).normal() / std::sqrt(total);
            const double change = weight[j] - before;
            for (int64_t at = start[j]; at < start[j + 1]; ++at) {
                residual[row[at]] -= change * h(at);
                if (sums) sums[row[at]] += change * x[at];
            }
        }
    }
}

// Draws the latent number of each row, normal around its output with variance 1, above 0 where the label is positive and
// below 0 where it is not (Albert and Chib 1993). The output is the latent number before minus the residual.
extern "C" void afm_gibbs_latents(const float* label, int64_t rows, uint64_t key, int threads, double* latent,
                                  double* residual) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < rows; ++i) {
        const double output = latent[i] - residual[i], sign = label[i] > 0.0f ? 1.0 : -1.0;
        residual[i] = sign * Draws(key, i).normal_above(-sign * output);
        latent[i] = output + residual[i];
    }
}
