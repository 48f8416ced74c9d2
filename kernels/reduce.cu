#include "kernels/reduce.hpp"

#include <cmath>

#include "kernels/reduce.cuh"

namespace gpunn::kernels {

void reduce_sum(Gpu gpu, const ReduceShape& shape, Accumulate mode, float scale, const float* x, float* y,
                float* scratch) {
  reduce(gpu, shape, mode, scale, Sum{}, ReadElement{x}, y, scratch);
}

void reduce_max(Gpu gpu, const ReduceShape& shape, const float* x, float* y, float* scratch) {
  reduce(gpu, shape, Accumulate::overwrite, 1.0f, Max{}, ReadElement{x}, y, scratch);
}

}  // namespace gpunn::kernels
