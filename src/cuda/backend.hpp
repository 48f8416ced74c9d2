// The CUDA backend: how devices "cuda", "cuda:1" and, on the software device, "sim" take part.
#pragma once

#include <memory>

#include "src/cuda/executor.hpp"

namespace gpunn::cuda {

// A backend on the device `ordinal`; throws DeviceError when there is none.
std::unique_ptr<Backend> make_backend(int ordinal, const ExecutorOptions& options = {});

}  // namespace gpunn::cuda
