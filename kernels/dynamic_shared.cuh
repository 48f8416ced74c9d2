// dyn_shared<T>(): the block's dynamic shared memory, 128-byte aligned, contents undefined. The only place
// that spells it for nvcc; the software device brings its own.
#pragma once

#include <cuda_runtime.h>

#if defined(__CUDACC__)
template <class T>
__device__ inline T* dyn_shared() {
  extern __shared__ __align__(128) unsigned char gpunn_dynamic_shared[];
  return reinterpret_cast<T*>(gpunn_dynamic_shared);
}
#endif
