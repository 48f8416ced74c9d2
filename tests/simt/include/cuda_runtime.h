// Stands in front of the toolkit's cuda_runtime.h when a plain C++ compiler builds .cu files for the software
// device. It gives the words that only nvcc knows a meaning, includes the toolkit's own header unmodified,
// and then adds the device vocabulary (barriers, shuffles, atomics, intrinsics) as ordinary functions.
#pragma once
#pragma GCC system_header  // #include_next is no standard C++

#define __SIMT__ 1  // this is the software device

#include <cstddef>

// One block runs at a time, so a static is shared memory. The section is what lets the executor poison it;
// its leading dot matters, because clang's AddressSanitizer skips sections whose names are C identifiers.
// (Named by host_defines.h only if nobody else did.)
#define __shared__ static __attribute__((section(".simt_shared")))

// g++ can note the bound where the executor finds it: as the number of bytes patched in before the function.
// clang 14 refuses that attribute in templates, so its builds do not check launch bounds.
#if defined(__GNUC__) && !defined(__clang__)
#define SIMT_FIRST(first, ...) first
#define __launch_bounds__(...) \
  __attribute__((patchable_function_entry((SIMT_FIRST(__VA_ARGS__, 0)), (SIMT_FIRST(__VA_ARGS__, 0)))))
#else
#define __launch_bounds__(...)
#endif
#define __cluster_dims__(...) static_assert(false, "simt: clusters are not supported")

// The toolkit's launch template loses the parameter types on its way to the C function: park it under another
// name.
#define cudaLaunchKernelEx simt_toolkit_cudaLaunchKernelEx
#include_next <cuda_runtime.h>
#undef cudaLaunchKernelEx

#include "simt/device.hpp"
