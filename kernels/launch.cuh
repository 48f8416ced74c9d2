// The only way this library starts a kernel, and the loop that most kernels are.
#pragma once

#include <cuda_runtime.h>

#include "kernels/check.hpp"
#include "kernels/gpu.hpp"
#include "kernels/launch_shape.hpp"

namespace gpunn::kernels {

// Where to run, and the line to blame: converts from Gpu, so that `launch(gpu, ...)` records its caller.
struct On {
  Gpu gpu;
  SourceLocation caller;
  On(const Gpu& where, SourceLocation at = SourceLocation::current()) : gpu(where), caller(at) {}
};

// What a block gets without asking; more has to be granted per kernel first.
inline constexpr std::size_t kSharedWithoutAsking = 48 * 1024;

// Empty work is legal and launches nothing.
template <class... Params, class... Args>
void launch(On on, LaunchShape shape, void (*kernel)(Params...), Args... args) {
  if (shape.blocks == 0) return;
  if (shape.shared_bytes > kSharedWithoutAsking) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shape.shared_bytes)),
          on.caller);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(shape.blocks);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = static_cast<cudaStream_t>(on.gpu.stream);
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...), on.caller);
}

__device__ inline std::int64_t global_thread() {
  return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t global_threads() {
  return std::int64_t{gridDim.x} * blockDim.x;
}

template <int kBlocks, class Body>
__global__ void __launch_bounds__(kThreads, kBlocks) for_each_kernel(std::int64_t n, Body body) {
  for (std::int64_t i = global_thread(); i < n; i += global_threads()) body(i);
}

// body(i) for every i in [0, n), in any order. A body that needs more than 80 registers asks for fewer
// blocks.
template <int kBlocks = kLeastBlocks, class Body>
void for_each(On on, std::int64_t n, Body body) {
  launch(on, for_each_shape(n, on.gpu.multiprocessors), for_each_kernel<kBlocks, Body>, n, body);
}

}  // namespace gpunn::kernels
