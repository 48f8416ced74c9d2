#include "kernels/batch_norm.hpp"

#include <cmath>

#include "kernels/reduce.cuh"

namespace gpunn::kernels {
namespace {

struct SquaredDistance {
  const float* x;
  const float* mean;
  __device__ float operator()(std::int64_t i, std::int64_t channel) const {
    const float d = x[i] - mean[channel];
    return d * d;
  }
};

// Which elements of x are in real rows, and how many rows those are: known on the device alone.
struct RealElements {
  RealElements(const RealRows& real, Matrix x) : rows(real), step_elements(real.rows_per_step * x.columns) {}
  RealRows rows;
  std::int64_t step_elements;  // numbers of x that share a step of the mask
  __device__ bool has(std::int64_t i) const { return rows.mask[i / step_elements] != 0; }
  __device__ float count() const {
    return *rows.count * static_cast<float>(rows.rows_per_step) + kMaskedCountFloor;
  }
};

// What element i adds to a mean over the real rows.
template <class Value>
struct OfRealRows {
  Value value;
  RealElements real;
  __device__ float operator()(std::int64_t i, std::int64_t channel) const {
    return real.has(i) ? value(i, channel) / real.count() : 0.0f;
  }
};

// means[channel] = the mean of value(i, channel), over all rows or the real ones.
template <class Value>
void mean_of(Gpu gpu, Matrix x, const RealRows& real, Value value, float* means, float* scratch) {
  const ReduceShape shape = over_rows(x.rows, x.columns);
  if (real.mask == nullptr) {
    const float scale = 1.0f / static_cast<float>(x.rows);
    return reduce(gpu, shape, Accumulate::overwrite, scale, value, means, scratch);
  }
  reduce(gpu, shape, Accumulate::overwrite, 1.0f, OfRealRows<Value>{value, {real, x}}, means, scratch);
}

__device__ float inverse_deviation(const BatchNormStatistics& s, std::int64_t channel) {
  return 1.0f / sqrtf(s.variance[channel] + s.epsilon);
}

struct GammaSlope {
  BatchNormStatistics s;
  const float* x;
  const float* dy;
  __device__ float operator()(std::int64_t i, std::int64_t channel) const {
    return dy[i] * ((x[i] - s.mean[channel]) * inverse_deviation(s, channel));
  }
};

struct Normalize {
  std::int64_t channels;
  BatchNormStatistics s;
  const float* gamma;
  const float* beta;
  const float* x;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t c = i % channels;
    const float z = (x[i] - s.mean[c]) * inverse_deviation(s, c);
    y[i] = z * (gamma == nullptr ? 1.0f : gamma[c]) + (beta == nullptr ? 0.0f : beta[c]);
  }
};

// Every row is in the statistics.
struct AllRows {
  float rows;
  __device__ bool has(std::int64_t) const { return true; }
  __device__ float count() const { return rows; }
};

// With N rows in the statistics: dx = gamma / deviation * (dy - (dbeta + z * dgamma) / N); of others, and where
// the statistics were not of this batch (no dgamma), without the difference.
template <class Rows>
struct Backward {
  Rows rows;
  std::int64_t channels;
  bool add;
  BatchNormStatistics s;
  const float* gamma;
  const float* x;
  const float* dy;
  const float* dgamma;
  const float* dbeta;
  float* dx;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t c = i % channels;
    const float inverse = inverse_deviation(s, c);
    float d = dy[i];
    if (dgamma != nullptr && rows.has(i)) {
      const float z = (x[i] - s.mean[c]) * inverse;
      d -= (dbeta[c] + z * dgamma[c]) / rows.count();
    }
    d *= inverse * (gamma == nullptr ? 1.0f : gamma[c]);
    dx[i] = add ? dx[i] + d : d;
  }
};

struct Update {
  float momentum;
  const float* mean;
  const float* variance;
  float* moving_mean;
  float* moving_variance;
  __device__ void operator()(std::int64_t c) const {
    moving_mean[c] = moving_mean[c] * momentum + mean[c] * (1.0f - momentum);
    moving_variance[c] = moving_variance[c] * momentum + variance[c] * (1.0f - momentum);
  }
};

}  // namespace

void batch_norm_mean(Gpu gpu, Matrix x_shape, const RealRows& real, const float* x, float* mean,
                     float* scratch) {
  mean_of(gpu, x_shape, real, ReadElement{x}, mean, scratch);
}

void batch_norm_variance(Gpu gpu, Matrix x_shape, const RealRows& real, const float* x, const float* mean,
                         float* variance, float* scratch) {
  mean_of(gpu, x_shape, real, SquaredDistance{x, mean}, variance, scratch);
}

void batch_norm_forward(Gpu gpu, Matrix x_shape, const BatchNormStatistics& statistics, const float* gamma,
                        const float* beta, const float* x, float* y) {
  for_each(gpu, x_shape.rows * x_shape.columns, Normalize{x_shape.columns, statistics, gamma, beta, x, y});
}

void batch_norm_backward_sums(Gpu gpu, Matrix x_shape, const BatchNormStatistics& statistics, const float* x,
                              const float* dy, float* dgamma, float* dbeta, float* scratch) {
  const ReduceShape shape = over_rows(x_shape.rows, x_shape.columns);
  reduce(gpu, shape, Accumulate::overwrite, 1.0f, GammaSlope{statistics, x, dy}, dgamma, scratch);
  reduce(gpu, shape, Accumulate::overwrite, 1.0f, ReadElement{dy}, dbeta, scratch);
}

void batch_norm_backward(Gpu gpu, Matrix x_shape, const RealRows& real, Accumulate mode,
                         const BatchNormStatistics& statistics, const float* gamma, const float* x,
                         const float* dy, const float* dgamma, const float* dbeta, float* dx) {
  require((dgamma == nullptr) == (dbeta == nullptr), "batch_norm_backward: dgamma and dbeta, or neither");
  const auto backward = [&]<class Rows>(const Rows& rows) {
    for_each(gpu, x_shape.rows * x_shape.columns,
             Backward<Rows>{rows, x_shape.columns, mode == Accumulate::add, statistics, gamma, x, dy, dgamma,
                            dbeta, dx});
  };
  if (real.mask == nullptr) return backward(AllRows{static_cast<float>(x_shape.rows)});
  backward(RealElements(real, x_shape));
}

void batch_norm_update(Gpu gpu, std::int64_t channels, float momentum, const float* mean,
                       const float* variance, float* moving_mean, float* moving_variance) {
  for_each(gpu, channels, Update{momentum, mean, variance, moving_mean, moving_variance});
}

}  // namespace gpunn::kernels
