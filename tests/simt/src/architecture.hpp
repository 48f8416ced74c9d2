// The limits of the GPUs that the device can pretend to be. Figures from NVIDIA's published specifications.
#pragma once

#include <cuda_runtime.h>

namespace simt {

struct Architecture {
  int number;  // compute capability times 10
  const char* name;
  int multiprocessors;
  int shared_optin;     // most dynamic shared memory of a block, after cudaFuncSetAttribute
  int shared_reserved;  // per block, by the system
  int shared_per_multiprocessor;
  int threads_per_multiprocessor;
  int blocks_per_multiprocessor;
  int l2_bytes;
};

inline constexpr int kSharedDefault = 48 << 10;  // static, and dynamic without the attribute
inline constexpr int kThreadsPerBlock = 1024;
inline constexpr int kRegisters = 65536;  // per block and per multiprocessor

const Architecture& architecture();
cudaDeviceProp properties(int device);

}  // namespace simt
