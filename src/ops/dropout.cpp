#include "src/ops/dropout.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

void expect_rate(const OpCall& call, float rate) {
  expects(rate >= 0 && rate < 1, call, "rate must be at least 0 and below 1, not " + std::to_string(rate));
}

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 1 && is_f32(call, 0) && call.inputs[0].shape.rank() >= 1, call,
          "takes one f32 input [batch, ...]");
  expect_rate(call, call.attrs_as<DropoutAttrs>().rate);
  return {call.inputs[0]};
}

Specs infer_mask(const OpCall& call) {
  expects(call.inputs.size() == 1 && call.inputs[0].shape.rank() >= 1, call, "takes one input [batch, ...]");
  const auto& attrs = call.attrs_as<DropoutMaskAttrs>();
  expect_rate(call, attrs.dropout.rate);
  return {{attrs.row.with_front(call.inputs[0].shape[0])}};
}

// x is not read.
Cost cost_mask(const OpCall& call) {
  const Spec& mask = call.outputs[0];
  return {20 * static_cast<double>(mask.shape.elements()), static_cast<double>(mask.size_bytes())};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  return {graph.emit1("dropout", {dy[0]}, node.attrs)};
}

}  // namespace

void define_dropout(Registry& registry) {
  registry.add({.name = "dropout",
                .outputs = {Rows::each},
                .infer = infer,
                .gradient = gradient,
                .cost = per_output_element<20>,  // ten rounds of Philox make four words
                .accumulates = 1});
  registry.add({.name = "dropout_mask", .outputs = {Rows::each}, .infer = infer_mask, .cost = cost_mask});
}

}  // namespace gpunn::ops
