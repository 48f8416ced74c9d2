#include "src/ops/chain.hpp"

#include <algorithm>

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

bool reads_operand(const ChainStep& step) {
  return step.kind == ChainStep::Kind::binary || step.kind == ChainStep::Kind::slope;
}

Specs infer(const OpCall& call) {
  const auto& steps = call.attrs_as<ChainAttrs>().steps;
  expects(!call.inputs.empty() && is_f32(call, 0), call, "takes f32 x and operands");
  expects(!steps.empty() && steps.size() <= kMaxChainSteps, call, "takes 1 to 8 steps");
  const bool batched = (call.batched & 1u) != 0;
  for (const ChainStep& step : steps) {
    if (!reads_operand(step)) continue;
    const bool given = step.operand > 0 && static_cast<std::size_t>(step.operand) < call.inputs.size();
    expects(given && fits_chain(call.inputs[0], batched, call.inputs[static_cast<std::size_t>(step.operand)],
                                (call.batched >> step.operand & 1u) != 0),
            call, "an operand must have x's shape, or be constant and broadcast over its leading axes");
  }
  return {call.inputs[0]};
}

Cost cost(const OpCall& call) {
  const auto steps = static_cast<double>(call.attrs_as<ChainAttrs>().steps.size());
  return arithmetic(call, 2 * steps * static_cast<double>(call.outputs[0].shape.elements()));
}

const char* name_of(Binary kind) {
  constexpr const char* kNames[] = {"add", "subtract", "multiply", "divide", "maximum", "minimum"};
  return kNames[static_cast<int>(kind)];
}

}  // namespace

bool fits_chain(const Spec& x, bool x_batched, const Spec& operand, bool operand_batched) {
  if (operand.dtype != Dtype::f32) return false;
  if (operand_batched || !x_batched) return operand == x && operand_batched == x_batched;
  const auto all = operand.shape.extents();
  const auto first = std::find_if(all.begin(), all.end(), [](std::int64_t extent) { return extent != 1; });
  const auto rank = static_cast<int>(all.end() - first);
  if (rank >= x.shape.rank()) return false;  // the batch itself is broadcast over
  for (int axis = 1; axis <= rank; ++axis) {
    if (operand.shape[-axis] != x.shape[-axis]) return false;
  }
  return true;
}

std::string to_string(const ChainAttrs& attrs) {
  std::string text;
  for (const ChainStep& step : attrs.steps) {
    if (!text.empty()) text += ", ";
    switch (step.kind) {
      case ChainStep::Kind::binary:
        text += name_of(step.binary);
        break;
      case ChainStep::Kind::activation:
        text += to_string(step.activation);
        break;
      case ChainStep::Kind::slope:
        text += std::string(to_string(step.activation)) + "'s slope";
        break;
      case ChainStep::Kind::affine:
        text += "scale";
        break;
    }
  }
  return text;
}

void define_chain(Registry& registry) {
  registry.add({.name = "chain", .outputs = {Rows::each}, .infer = infer, .cost = cost, .accumulates = 1});
}

}  // namespace gpunn::ops
