// What one model has on a device beside its variables: the streams of its steps, and the libraries' handles
// of each stream (a handle that works on two streams at once is neither safe nor reproducible). A clone for
// inference has a lane of its own on the variables of the original.
#pragma once

#include "src/cuda/libraries/libraries.hpp"
#include "src/cuda/variables.hpp"

namespace gpunn::cuda {

class Lane final : public DeviceContext {
 public:
  explicit Lane(std::shared_ptr<DeviceVariables> variables);
  ~Lane() override;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  DeviceVariables& variables() const { return *variables_; }
  Device& device() const { return variables_->device(); }
  cudaStream_t stream() const { return stream_.get(); }
  cudaStream_t side_stream() const { return side_stream_.get(); }  // only between a fork and its join
  Libraries& libraries() { return libraries_; }
  Libraries& side_libraries() { return side_libraries_; }

 private:
  std::shared_ptr<DeviceVariables> variables_;
  Stream stream_, side_stream_;
  Libraries libraries_, side_libraries_;
};

// The lane of `store` on `device`, with all the variables that the store has: what there is of them, and what
// is missing made now. Throws OutOfMemory.
std::shared_ptr<Lane> lane_on(const std::shared_ptr<Device>& device, VariableStore& store);

}  // namespace gpunn::cuda
