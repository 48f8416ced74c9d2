#include "src/ops/concatenate.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

int positive_axis(const OpCall& call, int axis) {
  const int rank = call.inputs[0].shape.rank();
  const int positive = axis < 0 ? axis + rank : axis;
  expects(positive >= 1 && positive < rank, call,
          "axis " + std::to_string(axis) + " is the batch or does not exist");
  return positive;
}

Specs infer(const OpCall& call) {
  expects(!call.inputs.empty(), call, "takes at least one input");
  const int axis = positive_axis(call, call.attrs_as<ConcatenateAttrs>().axis);
  const Shape& first = call.inputs[0].shape;
  std::int64_t extent = 0;
  for (std::size_t k = 0; k < call.inputs.size(); ++k) {
    const Shape& x = call.inputs[k].shape;
    expects(is_f32(call, k) && x.rank() == first.rank() && x.with(axis, 1) == first.with(axis, 1), call,
            "inputs must be f32 and alike but for axis " + std::to_string(axis));
    extent += x[axis];
  }
  return {{first.with(axis, extent)}};
}

Specs infer_backward(const OpCall& call) {
  const auto& attrs = call.attrs_as<ConcatenateBackwardAttrs>();
  expects(call.inputs.size() == 1 && is_f32(call, 0), call, "takes one f32 input");
  const int axis = positive_axis(call, attrs.axis);
  const Shape& dy = call.inputs[0].shape;
  expects(attrs.begin >= 0 && attrs.size >= 0 && attrs.begin <= dy[axis] - attrs.size, call,
          "the part reaches beyond dy");
  return {{dy.with(axis, attrs.size)}};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  const int axis = std::any_cast<const ConcatenateAttrs&>(node.attrs).axis;
  ValueIds parts;
  std::int64_t begin = 0;
  for (const ValueId input : node.inputs) {
    const std::int64_t size = graph.spec(input).shape[axis];
    parts.push_back(graph.emit1("concatenate_backward", {dy[0]},
                                ConcatenateBackwardAttrs{.axis = axis, .begin = begin, .size = size}));
    begin += size;
  }
  return parts;
}

}  // namespace

void define_concatenate(Registry& registry) {
  registry.add({.name = "concatenate", .outputs = {Rows::each}, .infer = infer, .gradient = gradient});
  registry.add(
      {.name = "concatenate_backward", .outputs = {Rows::each}, .infer = infer_backward, .accumulates = 1});
}

}  // namespace gpunn::ops
