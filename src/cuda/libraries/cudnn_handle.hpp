// cuDNN's handle as Libraries keeps it, without a header of cuDNN: a build without it has this too.
#pragma once

struct cudnnContext;

namespace gpunn::cuda {

cudnnContext* create_cudnn();  // throws DeviceError
void destroy_cudnn(cudnnContext* handle) noexcept;

}  // namespace gpunn::cuda
