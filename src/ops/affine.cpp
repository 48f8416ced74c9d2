#include "src/ops/affine.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 1 && (is_f32(call, 0) || call.inputs[0].dtype == Dtype::u8), call,
          "takes one f32 or u8 input");
  return {{call.inputs[0].shape}};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  if (graph.spec(node.inputs[0]).dtype != Dtype::f32) return {kNoValue};
  const float scale = std::any_cast<const AffineAttrs&>(node.attrs).scale;
  return {graph.emit1("affine", {dy[0]}, AffineAttrs{.scale = scale, .offset = 0})};
}

}  // namespace

void define_affine(Registry& registry) {
  registry.add({.name = "affine",
                .outputs = {Rows::each},
                .infer = infer,
                .gradient = gradient,
                .cost = per_output_element<2>,
                .accumulates = 1});
}

}  // namespace gpunn::ops
