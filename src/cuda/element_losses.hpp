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
Implementation dense_element_loss(const OpCall& call, const Target&) {
  Specs inputs;
  const LossCall loss(ops::loss_behind_dense(call, inputs),
                      kind == kernels::ElementLoss::sigmoid_cross_entropy);
  const std::int64_t width = call.inputs[1].shape[0];
  Implementation made = own_kernel(
      [=](const Launch& l) {
        const kernels::LossProduct product{width, l.in(0), l.in(1), l.in(2)};
        kernels::element_loss(gpu_of(l), kind, loss.shape.matrix, nullptr, l.in(3), l.in(4), loss.outputs(l),
                              loss.with_gradient(l), &product);
      },
      loss.shape.launches(), loss.shape.scratch());
  made.why = "few predictions: the loss makes them";
  return made;
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
