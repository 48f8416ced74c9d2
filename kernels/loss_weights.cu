#include "kernels/loss_weights.hpp"

#include "kernels/launch.cuh"
#include "kernels/reduce.cuh"

namespace gpunn::kernels {
namespace {

struct Real {
  const std::uint8_t* mask;
  __device__ float operator()(std::int64_t i, std::int64_t) const { return mask[i] != 0 ? 1.0f : 0.0f; }
};

struct Weigh {
  LossWeightsShape shape;
  float steps;  // of the mask
  const float* weights;
  const std::uint8_t* mask;
  const float* count;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    float weight = weights == nullptr ? 1.0f : weights[i / shape.rows_per_weight];
    if (mask != nullptr) {
      float real = 1;
      if (count != nullptr) real = *count > 0 ? steps / *count : 0.0f;
      weight *= mask[i / shape.rows_per_step] != 0 ? real : 0.0f;
    }
    y[i] = weight;
  }
};

constexpr ReduceShape whole(std::int64_t n) {
  const std::int64_t extents[] = {n};
  return reduce_shape(extents, 0b1);
}

}  // namespace

std::int64_t mask_count_scratch_floats(std::int64_t n) {
  const ReduceShape shape = whole(n);
  const Chunks chunks = reduce_chunks(shape);
  return chunks.count == 1 ? 0 : chunks.count;
}

void mask_count(Gpu gpu, std::int64_t n, const std::uint8_t* mask, float* count, float* scratch) {
  reduce(gpu, whole(n), Accumulate::overwrite, 1.0f, Real{mask}, count, scratch);
}

void loss_weights(Gpu gpu, const LossWeightsShape& shape, const float* weights, const std::uint8_t* mask,
                  const float* count, float* y) {
  const auto steps = static_cast<float>(shape.rows / shape.rows_per_step);
  for_each(gpu, shape.rows, Weigh{shape, steps, weights, mask, count, y});
}

}  // namespace gpunn::kernels
