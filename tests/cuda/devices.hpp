// The software device under the names that the tests here use.
#pragma once

#include "src/cuda/backend.hpp"
#include "src/ir/backend.hpp"

namespace gpunn {

// Devices "sim"; without CUDA graphs "sim-eager"; on one stream "sim-serial"; without cuBLASLt and cuDNN
// "sim-own".
inline void register_devices() {
  static const bool done = [] {
    register_backend("sim", cuda::make_backend(0));
    register_backend("sim-eager", cuda::make_backend(0, {.capture = false}));
    register_backend("sim-own", cuda::make_backend(0, {.libraries = false}));
    register_backend("sim-serial", cuda::make_backend(0, {.branches = false}));
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace gpunn
