#include "src/ops/accuracy.hpp"

#include "kernels/element_loss.hpp"
#include "src/cuda/class_losses.hpp"

namespace gpunn::cuda {
namespace {

Implementation forward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const bool binary = call.attrs_as<ops::AccuracyAttrs>().kind == ops::Accuracy::binary;
  return own_kernel(
      [=](const Launch& l) {
        kernels::LossOutputs out;
        out.metric = l.out(0);
        out.scratch = static_cast<float*>(l.scratch);
        if (binary) {
          kernels::element_loss(gpu_of(l), kernels::ElementLoss::binary_cross_entropy, shape.matrix, l.in(0),
                                l.in(1), l.in(2), out, {});
        } else {
          kernels::class_accuracy(gpu_of(l), shape.matrix, l.in(0), class_targets(l, shape), l.in(2), out);
        }
      },
      shape.launches(), shape.scratch());
}

}  // namespace

void implement_accuracy() {
  register_op("accuracy", forward);
}

}  // namespace gpunn::cuda
