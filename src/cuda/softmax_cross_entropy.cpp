#include "kernels/softmax_cross_entropy.hpp"

#include "src/cuda/class_losses.hpp"

namespace gpunn::cuda {
namespace {

Implementation forward(const OpCall& call, const Target&) {
  const LossCall loss(call, true);
  return own_kernel(
      [=](const Launch& l) {
        kernels::softmax_cross_entropy(gpu_of(l), loss.shape.matrix, l.in(0), class_targets(l, loss.shape),
                                       l.in(2), loss.outputs(l), loss.with_gradient(l));
      },
      loss.shape.launches(), loss.shape.scratch());
}

Implementation backward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  return own_kernel([=](const Launch& l) {
    kernels::softmax_cross_entropy_backward(gpu_of(l), shape.matrix, l.in(0), class_targets(l, shape),
                                            l.in(2), loss_gradient(l, shape));
  });
}

}  // namespace

void implement_softmax_cross_entropy() {
  register_op("softmax_cross_entropy", forward);
  register_op("softmax_cross_entropy_with_gradient", forward);
  register_op("softmax_cross_entropy_backward", backward);
}

}  // namespace gpunn::cuda
