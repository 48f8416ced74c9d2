// Losses that are a mean over the columns of a row: forward and backward of any of them.
#pragma once

#include "kernels/element_loss.hpp"
#include "src/cuda/losses.hpp"

namespace gpunn::cuda {

template <kernels::ElementLoss kind>
Implementation element_loss_forward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const bool probabilities = call.outputs.size() > 1;
  return own_kernel(
      [=](const Launch& l) {
        kernels::LossOutputs out;
        out.loss = l.out(0);
        if (probabilities) out.probabilities = l.out(1);
        out.scratch = static_cast<float*>(l.scratch);
        kernels::element_loss(gpu_of(l), kind, shape.matrix, l.in(0), l.in(1), l.in(2), out, {});
      },
      shape.launches(), shape.scratch());
}

template <kernels::ElementLoss kind>
Implementation element_loss_backward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  return own_kernel([=](const Launch& l) {
    kernels::element_loss_backward(gpu_of(l), kind, shape.matrix, l.in(0), l.in(1), l.in(2),
                                   loss_gradient(l, shape));
  });
}

}  // namespace gpunn::cuda
