// What every launcher in this folder takes first. No CUDA header here: a stream travels as an opaque pointer,
// so that the launchers can be called from plain C++.
//
// All launchers: pointers are device memory of any alignment their type allows (wide loads are used where
// 16-byte alignment permits); nothing is allocated; nothing waits; the work is queued on `gpu.stream`; empty
// work launches nothing; a launch that fails throws DeviceError. Results do not depend on
// `gpu.multiprocessors`: whatever fixes an order of summation is derived from the shapes alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "gpunn/error.hpp"

namespace gpunn::kernels {

struct Gpu {
  void* stream = nullptr;   // a cudaStream_t, created non-blocking
  int multiprocessors = 1;  // for the size of grids
  std::size_t shared_per_block =
      49'152;  // bytes of shared memory that a block may ask for (the opt-in limit)
};

// Whether a result replaces what its memory holds or is added to it. With `overwrite` the old contents are
// never read: they may be NaN.
enum class Accumulate : std::uint8_t { overwrite, add };

struct Matrix {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

// A broken precondition of a launcher: a bug of the caller, found before anything is queued.
inline void require(bool ok, const char* what, SourceLocation at = SourceLocation::current()) {
  if (!ok) throw UsageError(what, at);
}

// Calls use(integral_constant<Accumulate, mode>), so that the mode is a constant inside the kernel.
template <class Use>
void with_mode(Accumulate mode, Use use) {
  if (mode == Accumulate::add) {
    use(std::integral_constant<Accumulate, Accumulate::add>{});
  } else {
    use(std::integral_constant<Accumulate, Accumulate::overwrite>{});
  }
}

}  // namespace gpunn::kernels
