// What libgpunn calls after loading this library: checks that they belong together and that there is a
// device, and registers the devices.

#include <cuda_runtime_api.h>

#include <string>

#include "gpunn/export.hpp"
#include "src/cuda/backend.hpp"

namespace gpunn::cuda {
namespace {

std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

std::string register_devices(const std::string& build_id) {
  if (build_id != GPUNN_BUILD_ID) {
    return "libgpunn is build " + build_id + ", but libgpunn_cuda is build " + GPUNN_BUILD_ID;
  }
  int driver = 0, runtime = 0, count = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is for CUDA " + version(driver) + ", but CUDA " + version(runtime) +
           " is needed";
  }
  if (status != cudaSuccess) return cudaGetErrorString(status);
  if (count == 0) return "there is no CUDA device";
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    register_backend("cuda:" + std::to_string(ordinal), make_backend(ordinal));
  }
  return {};
}

}  // namespace
}  // namespace gpunn::cuda

// Null when the devices are registered, else why not.
extern "C" GPUNN_API const char* gpunn_cuda_register(const char* build_id) {
  static const std::string problem = [build_id]() -> std::string {
    try {
      return gpunn::cuda::register_devices(build_id);
    } catch (const std::exception& error) {
      return error.what();
    }
  }();
  return problem.empty() ? nullptr : problem.c_str();
}
