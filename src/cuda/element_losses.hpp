// Losses that are a mean over the columns of a row: forward and backward of any of them.
#pragma once

#include "kernels/element_loss.hpp"
#include "src/cuda/losses.hpp"

namespace gpunn::cuda {

template <kernels::ElementLoss kind>
Implementation element_loss_forward(const OpCall& call, const Target&) {
  const LossCall loss(call, kind == kernels::ElementLoss::sigmoid_cross_entropy);
  return own_kernel(
      [=](const Launch& l) {
        kernels::element_loss(gpu_of(l), kind, loss.shape.matrix, l.in(0), l.in(1), l.in(2), loss.outputs(l),
                              loss.with_gradient(l));
      },
      loss.shape.launches(), loss.shape.scratch());
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
