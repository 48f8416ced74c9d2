// Weights of the rows of a loss, from weights of samples and a mask of steps. Memory-bound: each element is
// read or written once.
#pragma once

#include "kernels/gpu.hpp"

namespace gpunn::kernels {

// count[0] = how many of mask[n] are not 0: exact below 2^24. One launch up to 4096 elements, else two.
void mask_count(Gpu gpu, std::int64_t n, const std::uint8_t* mask, float* count, float* scratch);
std::int64_t mask_count_scratch_floats(std::int64_t n);

struct LossWeightsShape {
  std::int64_t rows = 0;             // of the result: vectors of predictions
  std::int64_t rows_per_weight = 1;  // vectors that share a sample's weight
  std::int64_t rows_per_step = 1;    // vectors that share a step of the mask
};

// y[row] = weight of its sample (null: 1) * (0 where the mask is 0; null: nowhere). With `count`, real steps
// are multiplied by the steps of the mask over count[0]; a count of 0 makes all of them 0. One launch.
void loss_weights(Gpu gpu, const LossWeightsShape& shape, const float* weights, const std::uint8_t* mask,
                  const float* count, float* y);

}  // namespace gpunn::kernels
