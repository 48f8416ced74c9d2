#include "src/cuda/libraries/cudnn_handle.hpp"

#include "src/cuda/libraries/cudnn_graph.hpp"

namespace gpunn::cuda {

cudnnContext* create_cudnn() {
  check_cudnn_version();
  return make_handle<Cudnn>(cudnnCreate).release();
}

void destroy_cudnn(cudnnContext* handle) noexcept {
  static_cast<void>(cudnnDestroy(handle));
}

}  // namespace gpunn::cuda
