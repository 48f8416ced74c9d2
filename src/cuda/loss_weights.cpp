#include "src/ops/loss_weights.hpp"

#include "kernels/loss_weights.hpp"
#include "src/cuda/registry.hpp"
#include "src/ops/common.hpp"

namespace gpunn::cuda {
namespace {

Implementation mask_count(const OpCall& call, const Target&) {
  const std::int64_t n = call.inputs[0].shape.elements();
  const auto scratch = static_cast<std::size_t>(kernels::mask_count_scratch_floats(n)) * sizeof(float);
  return own_kernel(
      [=](const Launch& l) {
        kernels::mask_count(gpu_of(l), n, l.in<std::uint8_t>(0), l.out(0), static_cast<float*>(l.scratch));
      },
      scratch > 0 ? 2 : 1, scratch);
}

Implementation loss_weights(const OpCall& call, const Target&) {
  const Shape& y = call.outputs[0].shape;
  kernels::LossWeightsShape shape{.rows = y.elements()};
  if (ops::has(call, 0))
    shape.rows_per_weight = y.elements() / std::max<std::int64_t>(call.inputs[0].shape.elements(), 1);
  if (ops::has(call, 1)) shape.rows_per_step = y[1] / call.inputs[1].shape[1];
  return own_kernel([=](const Launch& l) {
    kernels::loss_weights(gpu_of(l), shape, l.in(0), l.in<std::uint8_t>(1), l.in(2), l.out(0));
  });
}

}  // namespace

void implement_loss_weights() {
  register_op("mask_count", mask_count);
  register_op("loss_weights", loss_weights);
}

}  // namespace gpunn::cuda
