#include "src/cuda/element_losses.hpp"

namespace gpunn::cuda {

void implement_sigmoid_cross_entropy() {
  register_op("sigmoid_cross_entropy", element_loss_forward<kernels::ElementLoss::sigmoid_cross_entropy>);
  register_op("sigmoid_cross_entropy_with_gradient",
              element_loss_forward<kernels::ElementLoss::sigmoid_cross_entropy>);
  register_op("dense_sigmoid_cross_entropy_with_gradient",
              dense_element_loss<kernels::ElementLoss::sigmoid_cross_entropy>);
  register_op("sigmoid_cross_entropy_backward",
              element_loss_backward<kernels::ElementLoss::sigmoid_cross_entropy>);
}

}  // namespace gpunn::cuda
