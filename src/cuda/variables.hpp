// The variables' copy in device memory. The CUDA executables of one model share it.
#pragma once

#include <array>
#include <memory>

#include "src/cuda/device.hpp"
#include "src/cuda/libraries/libraries.hpp"
#include "src/ir/variables.hpp"

namespace gpunn::cuda {

class DeviceVariables final : public VariableMirror {
 public:
  // Makes the buffers that the store has on the host. All or nothing: throws OutOfMemory.
  DeviceVariables(std::shared_ptr<Device> device, const VariableStore& store);

  std::byte* base(Store store) const override { return buffers_[static_cast<std::size_t>(store)].data(); }
  void upload(Store store, const std::byte* from) override;
  void download(Store store, std::byte* to) override;

  Device& device() const { return *device_; }
  cudaStream_t stream() const { return stream_.get(); }  // all work on the variables goes here, in order
  Libraries& libraries() { return libraries_; }

 private:
  std::shared_ptr<Device> device_;
  std::array<Buffer, 10> buffers_;       // by Store
  std::array<std::size_t, 10> bytes_{};  // of them in use
  Stream stream_;
  Libraries libraries_;  // one handle per stream: sharing one between streams would not be reproducible
};

// The mirror of `store` on `device`: the one it has, if that has all it needs, else a new one.
std::shared_ptr<DeviceVariables> mirror_on(std::shared_ptr<Device> device, VariableStore& store);

}  // namespace gpunn::cuda
