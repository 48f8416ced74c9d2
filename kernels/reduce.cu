#include "kernels/reduce.hpp"

#include <cmath>

#include "kernels/reduce.cuh"

namespace gpunn::kernels {

void reduce_sum(Gpu gpu, const ReduceShape& shape, Accumulate mode, float scale, const float* x, float* y,
                float* scratch) {
  reduce(gpu, shape, mode, scale, ReadElement{x}, y, scratch);
}

}  // namespace gpunn::kernels
