#include "src/ops/reshape.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 1 && call.inputs[0].shape.rank() >= 1, call, "takes one input [batch, ...]");
  const auto& [shape, dtype] = call.inputs[0];
  const Shape& row = call.attrs_as<ReshapeAttrs>().row;
  expects(row.elements() == row_elements(shape), call,
          "a row of x does not have the elements of " + to_string(row));
  return {{row.with_front(shape[0]), dtype}};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  return {graph.emit1("reshape", {dy[0]}, ReshapeAttrs{graph.spec(node.inputs[0]).shape.without_front()})};
}

}  // namespace

void define_reshape(Registry& registry) {
  registry.add({.name = "reshape",
                .outputs = {Rows::each},
                .infer = infer,
                .gradient = gradient,
                .cost = [](const OpCall&) { return Cost{}; },
                .view = true});
}

}  // namespace gpunn::ops
