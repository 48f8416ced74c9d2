#include "src/ops/activation.hpp"

#include "kernels/activation.hpp"
#include "src/cuda/activation.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {

kernels::Activation kernel_kind(ops::Activation kind) {
  switch (kind) {
    case ops::Activation::linear:
      return kernels::Activation::linear;
    case ops::Activation::relu:
      return kernels::Activation::relu;
    case ops::Activation::sigmoid:
      return kernels::Activation::sigmoid;
    case ops::Activation::tanh:
      return kernels::Activation::tanh;
    case ops::Activation::gelu:
      return kernels::Activation::gelu;
  }
  throw UsageError("an activation without a kernel");
}

namespace {

Implementation forward(const OpCall& call, const Target&) {
  const auto kind = kernel_kind(call.attrs_as<ops::ActivationAttrs>().kind);
  const std::int64_t n = call.outputs[0].shape.elements();
  return own_kernel(
      [=](const Launch& l) { kernels::activation_forward(gpu_of(l), kind, n, l.in(0), l.out(0)); });
}

Implementation backward(const OpCall& call, const Target&) {
  const auto kind = kernel_kind(call.attrs_as<ops::ActivationAttrs>().kind);
  const std::int64_t n = call.outputs[0].shape.elements();
  const int kept = kernels::needs_input_for_backward(kind) ? 2 : 0;
  return own_kernel([=](const Launch& l) {
    kernels::activation_backward(gpu_of(l), kind, accumulate_of(l, 0), n, l.in(kept), l.in(1), l.out(0));
  });
}

}  // namespace

void implement_activation() {
  register_op("activation", forward);
  register_op("activation_backward", backward);
}

}  // namespace gpunn::cuda
