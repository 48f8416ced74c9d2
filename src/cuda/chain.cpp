#include "src/ops/chain.hpp"

#include "kernels/elementwise.hpp"
#include "src/cuda/activation.hpp"
#include "src/cuda/binary.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

using ops::ChainStep;

kernels::ChainOp kernel_op(const ChainStep& step) {
  using enum kernels::ChainOp;
  constexpr kernels::ChainOp kValues[] = {affine, relu, sigmoid, tanh, gelu};  // of linear, relu, ...
  constexpr kernels::ChainOp kSlopes[] = {affine, relu_slope, sigmoid_slope, tanh_slope, gelu_slope};
  switch (step.kind) {
    case ChainStep::Kind::binary:
      return kernels::chain_op(kernel_kind(step.binary));
    case ChainStep::Kind::activation:
      return kValues[static_cast<int>(step.activation)];
    case ChainStep::Kind::slope:
      return kSlopes[static_cast<int>(step.activation)];
    case ChainStep::Kind::affine:
      break;
  }
  return affine;
}

Implementation chain(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::ChainAttrs>();
  const std::int64_t n = call.inputs[0].shape.elements();
  std::vector<kernels::ChainStep> steps;
  std::vector<int> operands;
  for (const ChainStep& step : attrs.steps) {
    kernels::ChainStep made{.op = kernel_op(step), .scale = step.affine.scale, .offset = step.affine.offset};
    if (step.operand >= 0) made.period = call.inputs[static_cast<std::size_t>(step.operand)].shape.elements();
    steps.push_back(made);
    operands.push_back(step.operand);
  }
  Implementation made = own_kernel([=](const Launch& l) {
    std::vector<kernels::ChainStep> bound = steps;
    for (std::size_t k = 0; k < bound.size(); ++k) {
      if (operands[k] >= 0) bound[k].operand = l.in(operands[k]);
    }
    kernels::chain(gpu_of(l), bound, accumulate_of(l, 0), n, l.in(0), l.out(0));
  });
  made.why = ops::to_string(attrs) + " in one pass";
  return made;
}

}  // namespace

void implement_chain() {
  register_op("chain", chain);
}

}  // namespace gpunn::cuda
