// Sums and maxima over a warp and over a block, in an order that never changes. Every thread gets the result.
#pragma once

#include <cuda_runtime.h>

#include "kernels/launch_shape.hpp"

namespace gpunn::kernels {

inline constexpr unsigned kAllLanes = 0xffffffffu;

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};
// NaN wins, unlike fmaxf.
struct Max {
  __device__ float operator()(float a, float b) const { return a > b || a != a ? a : b; }
};
struct Min {
  __device__ float operator()(float a, float b) const { return a < b || a != a ? a : b; }
};

// A butterfly: both partners of an exchange compute the same commutative sum, so all lanes end with equal
// bits.
template <class Op>
__device__ inline float warp_reduce(float value, Op op) {
  for (int step = kWarp / 2; step > 0; step /= 2) value = op(value, __shfl_xor_sync(kAllLanes, value, step));
  return value;
}

// All threads of a block of kBlock threads call this together; `scratch` is shared memory of kBlock / 32
// floats, free again on return.
template <int kBlock, class Op>
__device__ inline float block_reduce(float value, float* scratch, Op op) {
  static_assert(kBlock % kWarp == 0);
  value = warp_reduce(value, op);
  if (threadIdx.x % kWarp == 0) scratch[threadIdx.x / kWarp] = value;
  __syncthreads();
  float result = scratch[0];
  for (int warp = 1; warp < kBlock / kWarp; ++warp) result = op(result, scratch[warp]);
  __syncthreads();
  return result;
}

}  // namespace gpunn::kernels
