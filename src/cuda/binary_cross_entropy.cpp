#include "src/cuda/element_losses.hpp"

namespace gpunn::cuda {

void implement_binary_cross_entropy() {
  register_op("binary_cross_entropy", element_loss_forward<kernels::ElementLoss::binary_cross_entropy>);
  register_op("binary_cross_entropy_with_gradient",
              element_loss_forward<kernels::ElementLoss::binary_cross_entropy>);
  register_op("binary_cross_entropy_backward",
              element_loss_backward<kernels::ElementLoss::binary_cross_entropy>);
}

}  // namespace gpunn::cuda
