#include "src/cuda/element_losses.hpp"

namespace gpunn::cuda {

void implement_mean_squared_error() {
  register_op("mean_squared_error", element_loss_forward<kernels::ElementLoss::squared_error>);
  register_op("mean_squared_error_with_gradient", element_loss_forward<kernels::ElementLoss::squared_error>);
  register_op("dense_mean_squared_error_with_gradient",
              dense_element_loss<kernels::ElementLoss::squared_error>);
  register_op("mean_squared_error_backward", element_loss_backward<kernels::ElementLoss::squared_error>);
}

}  // namespace gpunn::cuda
