#include "src/cuda/device.hpp"

#include <mutex>
#include <vector>

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

struct Opened {
  std::mutex guard;
  std::vector<std::shared_ptr<Device>> all;
};
Opened& opened() {
  static Opened& made = *new Opened;  // never destroyed: at exit the driver may be gone first
  return made;
}

}  // namespace

Device::Device(int ordinal)
    : ordinal_(ordinal),
      target_(describe(ordinal)),
      memory_(std::make_shared<DeviceUpstream>(ordinal), 256),
      data_sets_(ordinal, memory_) {}

std::shared_ptr<Device> open_device(int ordinal) {
  auto device = std::make_shared<Device>(ordinal);
  const std::lock_guard lock(opened().guard);
  return opened().all.emplace_back(std::move(device));
}

void wait_for_devices() noexcept {
  const std::lock_guard lock(opened().guard);
  int before = 0;
  static_cast<void>(cudaGetDevice(&before));
  for (const std::shared_ptr<Device>& device : opened().all) {
    if (device->memory().statistics().allocations == 0) continue;
    if (cudaSetDevice(device->ordinal()) == cudaSuccess) static_cast<void>(cudaDeviceSynchronize());
  }
  static_cast<void>(cudaSetDevice(before));
}

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
