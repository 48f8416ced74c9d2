// The CUDA backend: how devices "cuda", "cuda:1" and, on the software device, "sim" take part.
#pragma once

#include <memory>

#include "src/cuda/executor.hpp"
#include "src/cuda/libraries/known_devices.hpp"

namespace gpunn::cuda {

// A backend on the device `ordinal`; throws DeviceError when there is none.
std::unique_ptr<Backend> make_backend(int ordinal, const ExecutorOptions& options = {});

// A backend that plans for a device which is not there, and binds nothing.
std::unique_ptr<Backend> describe_backend(const KnownDevice& device);
// Registers one for every known device, under its name in lower case without blanks: "h100", "rtx5090".
void register_described_devices();

}  // namespace gpunn::cuda
