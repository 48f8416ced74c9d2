// The device vocabulary of CUDA C++ for a plain C++ compiler: what nvcc supplies by itself. Everything here
// is called from kernels; simt/simt.hpp is the other side, called from tests.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "simt/atomics.hpp"
#include "simt/half.hpp"
#include "simt/intrinsics.hpp"
#include "simt/launch.hpp"
#include "simt/location.hpp"
#include "simt/sync.hpp"
#include "simt/warp.hpp"

// Which thread this is. Set by the executor at every switch.
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
inline constexpr int warpSize = 32;

// Dynamic shared memory, as much as the launch asked for. The spelling that nvcc needs is in the README.
template <class T>
T* dyn_shared() {
  return static_cast<T*>(simt::dynamic_shared());
}

// nvcc finds these without a namespace.
using std::max;
using std::min;
