#include "src/ops/reshape.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 1 && call.inputs[0].shape.rank() >= 1, call, "takes one input [batch, ...]");
  const auto& [shape, dtype] = call.inputs[0];
  const auto& [row, whole, steps] = call.attrs_as<ReshapeAttrs>();
  if (whole) {
    expects(call.batched == 0, call, "only a value without a batch can be reshaped as a whole");
    expects(row.elements() == shape.elements(), call, "x does not have the elements of " + to_string(row));
    return {{row, dtype}};
  }
  if (steps > 0) {
    expects(shape.rank() >= 2 && shape[1] == steps && row.elements() * steps == row_elements(shape), call,
            "x is not [batch, " + std::to_string(steps) + ", ...] with steps like " + to_string(row));
    return {{row.with_front(shape[0] * steps), dtype}};
  }
  if (steps < 0) {
    expects(row.rank() >= 1 && row[0] == -steps && shape[0] % steps == 0 &&
                row.elements() == row_elements(shape) * -steps,
            call, "x is not [batch * " + std::to_string(-steps) + ", ...] with rows for " + to_string(row));
    return {{row.with_front(shape[0] / -steps), dtype}};
  }
  expects(row.elements() == row_elements(shape), call,
          "a row of x does not have the elements of " + to_string(row));
  return {{row.with_front(shape[0]), dtype}};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  const Shape& x = graph.spec(node.inputs[0]).shape;
  const auto& attrs = std::any_cast<const ReshapeAttrs&>(node.attrs);
  if (attrs.whole) return {graph.emit1("reshape", {dy[0]}, ReshapeAttrs{x, true})};
  return {graph.emit1("reshape", {dy[0]}, ReshapeAttrs{.row = x.without_front(), .steps = -attrs.steps})};
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
