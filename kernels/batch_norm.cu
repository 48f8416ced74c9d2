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
    return reduce(gpu, shape, Accumulate::overwrite, scale, Sum{}, value, means, scratch);
  }
  reduce(gpu, shape, Accumulate::overwrite, 1.0f, Sum{}, OfRealRows<Value>{value, {real, x}}, means, scratch);
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

// With N rows: dx = gamma / deviation * (dy - (dbeta + z * dgamma) / N).
struct Backward {
  Matrix shape;
  bool add;
  BatchNormStatistics s;
  const float* gamma;
  const float* x;
  const float* dy;
  const float* dgamma;
  const float* dbeta;
  float* dx;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t c = i % shape.columns;
    const float inverse = inverse_deviation(s, c);
    float d = dy[i];
    if (dgamma != nullptr) {
      const float z = (x[i] - s.mean[c]) * inverse;
      d -= (dbeta[c] + z * dgamma[c]) / static_cast<float>(shape.rows);
    }
    d *= inverse * (gamma == nullptr ? 1.0f : gamma[c]);
    dx[i] = add ? dx[i] + d : d;
  }
};

// The same where only real rows are in the statistics.
struct MaskedBackward {
  Backward all;  // knows dgamma and dbeta
  RealElements real;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t c = i % all.shape.columns;
    const float inverse = inverse_deviation(all.s, c);
    float d = all.dy[i];
    if (real.has(i)) {
      const float z = (all.x[i] - all.s.mean[c]) * inverse;
      d -= (all.dbeta[c] + z * all.dgamma[c]) / real.count();
    }
    d *= inverse * (all.gamma == nullptr ? 1.0f : all.gamma[c]);
    all.dx[i] = all.add ? all.dx[i] + d : d;
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
  reduce(gpu, shape, Accumulate::overwrite, 1.0f, Sum{}, GammaSlope{statistics, x, dy}, dgamma, scratch);
  reduce(gpu, shape, Accumulate::overwrite, 1.0f, Sum{}, ReadElement{dy}, dbeta, scratch);
}

void batch_norm_backward(Gpu gpu, Matrix x_shape, const RealRows& real, Accumulate mode,
                         const BatchNormStatistics& statistics, const float* gamma, const float* x,
                         const float* dy, const float* dgamma, const float* dbeta, float* dx) {
  require((dgamma == nullptr) == (dbeta == nullptr), "batch_norm_backward: dgamma and dbeta, or neither");
  const std::int64_t n = x_shape.rows * x_shape.columns;
  const Backward all{x_shape, mode == Accumulate::add, statistics, gamma, x, dy, dgamma, dbeta, dx};
  if (real.mask == nullptr || dgamma == nullptr) return for_each(gpu, n, all);
  for_each(gpu, n, MaskedBackward{all, {real, x_shape}});
}

void batch_norm_update(Gpu gpu, std::int64_t channels, float momentum, const float* mean,
                       const float* variance, float* moving_mean, float* moving_variance) {
  for_each(gpu, channels, Update{momentum, mean, variance, moving_mean, moving_variance});
}

}  // namespace gpunn::kernels
