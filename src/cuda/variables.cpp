#include "src/cuda/variables.hpp"

#include "kernels/check.hpp"

namespace gpunn::cuda {
namespace {

constexpr std::pair<Store, const char*> kBuffers[] = {
    {Store::parameters, "parameters"},  {Store::gradients, "gradients"},    {Store::state, "state"},
    {Store::slot0, "optimizer slot 0"}, {Store::slot1, "optimizer slot 1"}, {Store::results, "results"}};

}  // namespace

DeviceVariables::DeviceVariables(std::shared_ptr<Device> device, const VariableStore& store)
    : device_(std::move(device)) {
  const OnDevice here(device_->ordinal());
  for (const auto& [kind, label] : kBuffers) {
    if (store.base(kind) == nullptr) continue;
    bytes_[static_cast<std::size_t>(kind)] = store.bytes(kind);
    // Never empty, so that a buffer that the store has is not null here.
    buffers_[static_cast<std::size_t>(kind)] =
        device_->memory().allocate(std::max<std::size_t>(store.bytes(kind), 256), label);
  }
  stream_ = make_stream();
}

void DeviceVariables::upload(Store store, const std::byte* from) {
  const OnDevice here(device_->ordinal());
  const Buffer& buffer = buffers_[static_cast<std::size_t>(store)];
  check(cudaMemcpyAsync(buffer.data(), from, bytes_[static_cast<std::size_t>(store)], cudaMemcpyHostToDevice,
                        stream_.get()));
  check(cudaStreamSynchronize(stream_.get()));  // the host's memory is pageable and may change next
}

void DeviceVariables::download(Store store, std::byte* to) {
  const OnDevice here(device_->ordinal());
  const Buffer& buffer = buffers_[static_cast<std::size_t>(store)];
  check(cudaMemcpyAsync(to, buffer.data(), bytes_[static_cast<std::size_t>(store)], cudaMemcpyDeviceToHost,
                        stream_.get()));
  check(cudaStreamSynchronize(stream_.get()));
}

std::shared_ptr<DeviceVariables> mirror_on(std::shared_ptr<Device> device, VariableStore& store) {
  const auto complete = [&](const DeviceVariables& mirror) {
    for (const auto& [kind, label] : kBuffers) {
      if (store.base(kind) != nullptr && mirror.base(kind) == nullptr) return false;
    }
    return &mirror.device() == device.get();
  };
  if (const auto mirror = std::dynamic_pointer_cast<DeviceVariables>(store.mirror());
      mirror && complete(*mirror)) {
    return mirror;
  }
  auto made = std::make_shared<DeviceVariables>(std::move(device), store);
  store.attach(made);
  return made;
}

}  // namespace gpunn::cuda
