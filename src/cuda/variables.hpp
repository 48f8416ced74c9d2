// The variables' copy in device memory, which a model shares with its clones for inference; and whose turn it
// is with it.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <vector>

#include "src/cuda/device.hpp"
#include "src/ir/variables.hpp"

namespace gpunn::cuda {

class DeviceVariables final : public VariableMirror {
 public:
  explicit DeviceVariables(std::shared_ptr<Device> device);

  std::byte* base(Store store) const override { return buffers_[static_cast<std::size_t>(store)].data(); }
  bool lacks_part_of(const VariableStore& store) const override;
  void extend(const VariableStore& store) override;
  void upload(Store store, const std::byte* from) override;
  void download(Store store, std::byte* to) override;

  Device& device() const { return *device_; }

  // Streams that work on the variables. One that leaves has finished.
  void join(cudaStream_t stream);
  void leave(cudaStream_t stream) noexcept;

  // The turn of one stream. The device orders what is queued during it behind what other streams have written
  // before, and, where it writes, behind what they have read: so a reader sees the variables between two
  // steps, never within one. Other threads wait with their turns, for as long as it takes to queue.
  class Turn {
   public:
    Turn(DeviceVariables& variables, cudaStream_t stream, bool writes);
    ~Turn();        // without finish(): what was queued so far is waited for
    void finish();  // all is queued
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    DeviceVariables& variables_;
    const cudaStream_t stream_;
    const bool writes_;
    std::unique_lock<std::mutex> lock_;
  };

 private:
  struct User {
    cudaStream_t stream;
    Event done;  // its last turn
  };
  void wait_for_all() const;  // REQUIRES: turns_ is held

  std::shared_ptr<Device> device_;
  Stream copies_;                        // to and from the host
  std::array<Buffer, 10> buffers_;       // by Store
  std::array<std::size_t, 10> bytes_{};  // of them in use
  std::mutex turns_;
  std::vector<User> users_;
  cudaStream_t writer_ = nullptr;  // the last one
};

}  // namespace gpunn::cuda
