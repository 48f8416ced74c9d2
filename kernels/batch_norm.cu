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

void batch_norm_mean(Gpu gpu, Matrix x_shape, const float* x, float* mean, float* scratch) {
  reduce(gpu, over_rows(x_shape.rows, x_shape.columns), Accumulate::overwrite,
         1.0f / static_cast<float>(x_shape.rows), Sum{}, ReadElement{x}, mean, scratch);
}

void batch_norm_variance(Gpu gpu, Matrix x_shape, const float* x, const float* mean, float* variance,
                         float* scratch) {
  reduce(gpu, over_rows(x_shape.rows, x_shape.columns), Accumulate::overwrite,
         1.0f / static_cast<float>(x_shape.rows), Sum{}, SquaredDistance{x, mean}, variance, scratch);
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

void batch_norm_backward(Gpu gpu, Matrix x_shape, Accumulate mode, const BatchNormStatistics& statistics,
                         const float* gamma, const float* x, const float* dy, const float* dgamma,
                         const float* dbeta, float* dx) {
  require((dgamma == nullptr) == (dbeta == nullptr), "batch_norm_backward: dgamma and dbeta, or neither");
  for_each(gpu, x_shape.rows * x_shape.columns,
           Backward{x_shape, mode == Accumulate::add, statistics, gamma, x, dy, dgamma, dbeta, dx});
}

void batch_norm_update(Gpu gpu, std::int64_t channels, float momentum, const float* mean,
                       const float* variance, float* moving_mean, float* moving_variance) {
  for_each(gpu, channels, Update{momentum, mean, variance, moving_mean, moving_variance});
}

}  // namespace gpunn::kernels
