// What a build without cuDNN has in its place.
#include "gpunn/error.hpp"
#include "src/cuda/libraries/cudnn_handle.hpp"

namespace gpunn::cuda {

cudnnContext* create_cudnn() {
  throw DeviceError("libgpunn was built without cuDNN");
}

void destroy_cudnn(cudnnContext*) noexcept {}

}  // namespace gpunn::cuda
