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

Specs infer_merge(const OpCall& call) {
  const auto is_mask = [&](std::size_t k) {
    return call.inputs[k].dtype == Dtype::u8 && call.inputs[k].shape.rank() == 2;
  };
  expects(call.inputs.size() == 2 && is_mask(0) && is_mask(1), call, "takes two masks u8 [batch, steps]");
  const Shape &a = call.inputs[0].shape, &b = call.inputs[1].shape;
  const bool join = call.attrs_as<MergeMasksAttrs>().join;
  expects(a[0] == b[0] && (join || a[1] == b[1]), call, "the masks must be of the same samples and steps");
  return {{Shape{a[0], join ? a[1] + b[1] : a[1]}, Dtype::u8}};
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
  registry.add({.name = "merge_masks", .outputs = {Rows::each}, .infer = infer_merge});
}

}  // namespace gpunn::ops
