#include "kernels/softmax_cross_entropy.hpp"

#include "src/cuda/class_losses.hpp"

namespace gpunn::cuda {
namespace {

Implementation forward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  return own_kernel(
      [=](const Launch& l) {
        kernels::LossOutputs out;
        out.loss = l.out(0);
        out.probabilities = l.out(1);
        out.scratch = static_cast<float*>(l.scratch);
        kernels::softmax_cross_entropy(gpu_of(l), shape.matrix, l.in(0), class_targets(l, shape), l.in(2),
                                       out, {});
      },
      shape.launches(), shape.scratch());
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
  register_op("softmax_cross_entropy_backward", backward);
}

}  // namespace gpunn::cuda
