#include "src/cuda/device.hpp"

#include "kernels/check.hpp"

namespace gpunn::cuda {
namespace {

Target describe(int ordinal) {
  int count = 0;
  check(cudaGetDeviceCount(&count));
  if (ordinal < 0 || ordinal >= count) {
    throw DeviceError("there is no device cuda:" + std::to_string(ordinal) + "; there are " +
                      std::to_string(count));
  }
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, ordinal));
  Target target;
  target.name = properties.name;
  target.ordinal = ordinal;
  target.architecture = properties.major * 10 + properties.minor;
  target.multiprocessors = properties.multiProcessorCount;
  target.shared_per_block = properties.sharedMemPerBlockOptin;
  return target;
}

}  // namespace

Device::Device(int ordinal)
    : ordinal_(ordinal),
      target_(describe(ordinal)),
      memory_(std::make_shared<DeviceUpstream>(ordinal), 256) {}

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return Event(event);
}

}  // namespace gpunn::cuda
