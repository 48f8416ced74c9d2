#include "src/ops/sequence_mask.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer_mask(const OpCall& call) {
  expects(call.inputs.size() == 1 && call.inputs[0].shape.rank() >= 2 &&
              (is_f32(call, 0) || call.inputs[0].dtype == Dtype::i32),
          call, "takes one f32 or i32 input [batch, steps, ...]");
  const Shape& x = call.inputs[0].shape;
  return {{Shape{x[0], x[1]}, Dtype::u8}};
}

Specs infer_apply(const OpCall& call) {
  expects(call.inputs.size() == 2 && is_f32(call, 0) && call.inputs[0].shape.rank() >= 2, call,
          "takes x f32 [batch, steps, ...] and a mask");
  const Shape& x = call.inputs[0].shape;
  expects(call.inputs[1] == Spec{Shape{x[0], x[1]}, Dtype::u8}, call, "the mask must be u8 [batch, steps]");
  return {call.inputs[0]};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  return {graph.emit1("apply_mask", {dy[0], node.inputs[1]}), kNoValue};
}

}  // namespace

void define_sequence_mask(Registry& registry) {
  registry.add({.name = "sequence_mask", .outputs = {Rows::each}, .infer = infer_mask});
  registry.add({.name = "apply_mask",
                .outputs = {Rows::each},
                .infer = infer_apply,
                .gradient = gradient,
                .accumulates = 1});
}

}  // namespace gpunn::ops
