// What libgpunn calls after loading this library: checks that they belong together and that devices can be
// used, and registers those.

#include <cuda_runtime_api.h>

#include <string>

#include "gpunn/export.hpp"
#include "src/cuda/architectures.hpp"
#include "src/cuda/backend.hpp"

namespace gpunn::cuda {
namespace {

std::string version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

std::string check_build(const std::string& build_id) {
  if (build_id == GPUNN_BUILD_ID) return {};
  return "libgpunn is build " + build_id + ", but libgpunn_cuda is build " + GPUNN_BUILD_ID;
}

std::string register_devices() {
  int driver = 0, runtime = 0, count = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver) {
    return "the NVIDIA driver is for CUDA " + version(driver) + ", but CUDA " + version(runtime) +
           " is needed";
  }
  if (status == cudaErrorNoDevice) return {};  // nothing is wrong, and nothing registered
  if (status != cudaSuccess) return cudaGetErrorString(status);
  std::string unusable;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    const std::string name = "cuda:" + std::to_string(ordinal);
    int major = 0, minor = 0;
    static_cast<void>(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal));
    static_cast<void>(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, ordinal));
    const std::string why_not = why_not_on(GPUNN_CUDA_ARCHITECTURES, name, major, minor);
    if (why_not.empty()) {
      register_backend(name, make_backend(ordinal));
    } else {
      unusable += (unusable.empty() ? "" : "; ") + why_not;
    }
  }
  return unusable;
}

}  // namespace
}  // namespace gpunn::cuda

namespace {

// The answer of an entry that is made once.
template <class Register>
const char* answer(std::string& problem, const char* build_id, Register use) {
  try {
    problem = gpunn::cuda::check_build(build_id);
    if (problem.empty()) problem = use();
  } catch (const std::exception& error) {
    problem = error.what();
  }
  return problem.empty() ? nullptr : problem.c_str();
}

}  // namespace

// Null when the devices are registered, else why not. Both are called once.
extern "C" GPUNN_API const char* gpunn_cuda_register(const char* build_id) {
  static std::string problem;
  return answer(problem, build_id, gpunn::cuda::register_devices);
}

// The same for descriptions of devices that need not be there.
extern "C" GPUNN_API const char* gpunn_cuda_describe(const char* build_id) {
  static std::string problem;
  return answer(problem, build_id, [] { return gpunn::cuda::register_described_devices(), std::string(); });
}
