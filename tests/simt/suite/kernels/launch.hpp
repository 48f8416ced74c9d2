// How the suite's kernels start, and the helper that nvcc and the software device spell differently.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#ifdef __CUDACC__
template <class T>
__device__ T* dyn_shared() {
  extern __shared__ __align__(128) unsigned char suite_dynamic_shared[];
  return reinterpret_cast<T*>(suite_dynamic_shared);
}
#endif

template <class... Params, class... Args>
cudaError_t launch(void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t dynamic_bytes,
                   cudaStream_t stream, Args... args) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = dynamic_bytes;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...);
}
