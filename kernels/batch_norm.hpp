// Batch normalization over the last axis: x is [rows, channels], whatever its other axes were.
//
// Statistics are made in two passes (mean, then the mean of squared distances from it): no cancellation. All
// sums in an order fixed by the shape. `scratch`: reduce_scratch_floats(over_rows(rows, channels)), for
// backward_sums the same.
#pragma once

#include "kernels/reduce.hpp"

namespace gpunn::kernels {

// The rows that statistics are made of: row r where mask[r / rows_per_step] is not 0. Their sums are divided
// by kMaskedCountFloor more than their number, so that of no rows at all both statistics are 0.
inline constexpr float kMaskedCountFloor = 1e-7f;
struct RealRows {
  const std::uint8_t* mask = nullptr;  // null: all rows
  const float* count = nullptr;        // on the device: the steps that are real
  std::int64_t rows_per_step = 1;
};

// mean[channels] and the biased variance[channels] around it. Each reads x once.
void batch_norm_mean(Gpu gpu, Matrix x_shape, const RealRows& real, const float* x, float* mean,
                     float* scratch);
void batch_norm_variance(Gpu gpu, Matrix x_shape, const RealRows& real, const float* x, const float* mean,
                         float* variance, float* scratch);

struct BatchNormStatistics {
  const float* mean = nullptr;      // [channels]
  const float* variance = nullptr;  // [channels]
  float epsilon = 1e-3f;
};

// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta; gamma and beta [channels] may be null. y may be
// x.
void batch_norm_forward(Gpu gpu, Matrix x_shape, const BatchNormStatistics& statistics, const float* gamma,
                        const float* beta, const float* x, float* y);

// dgamma = sum of dy * (x - mean) / sqrt(variance + epsilon); dbeta = sum of dy.
void batch_norm_backward_sums(Gpu gpu, Matrix x_shape, const BatchNormStatistics& statistics, const float* x,
                              const float* dy, float* dgamma, float* dbeta, float* scratch);

// dx, where dgamma and dbeta are of backward_sums and mean and variance those of x itself; both null: mean
// and variance are constants, as they are to rows that are not real.
void batch_norm_backward(Gpu gpu, Matrix x_shape, const RealRows& real, Accumulate mode,
                         const BatchNormStatistics& statistics, const float* gamma, const float* x,
                         const float* dy, const float* dgamma, const float* dbeta, float* dx);

// moving = moving * momentum + batch's * (1 - momentum), for both statistics.
void batch_norm_update(Gpu gpu, std::int64_t channels, float momentum, const float* mean,
                       const float* variance, float* moving_mean, float* moving_variance);

}  // namespace gpunn::kernels
