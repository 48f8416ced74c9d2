// Sums over any axes, in an order fixed by the shape: first chunks, then the sum of the chunks.
// One launch where one chunk does, else two. Reads x once.
#pragma once

#include "kernels/gpu.hpp"
#include "kernels/reduce_shape.hpp"

namespace gpunn::kernels {

// y[kept] (+)= scale * (sum over the reduced axes of x). The sum of nothing is 0.
void reduce_sum(Gpu gpu, const ReduceShape& shape, Accumulate mode, float scale, const float* x, float* y,
                float* scratch);

// 0 where one launch does; `scratch` may then be null.
constexpr std::int64_t reduce_scratch_floats(const ReduceShape& shape) {
  const Chunks chunks = reduce_chunks(shape);
  return chunks.count == 1 ? 0 : chunks.count * shape.kept.count;
}

}  // namespace gpunn::kernels
