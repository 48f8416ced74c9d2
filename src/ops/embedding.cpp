#include "src/ops/embedding.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Shape with_width(const Shape& ids, std::int64_t width) {
  std::vector<std::int64_t> extents(ids.extents().begin(), ids.extents().end());
  extents.push_back(width);
  return Shape(std::span<const std::int64_t>(extents));
}

void expect_ids(const OpCall& call) {
  expects(call.inputs[0].dtype == Dtype::i32 && call.inputs[0].shape.rank() >= 1, call,
          "ids must be i32 [batch, ...]: Input(shape, {.dtype = Dtype::i32})");
}

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 2, call, "takes ids and a table");
  expect_ids(call);
  const Spec& table = call.inputs[1];
  expects(table.dtype == Dtype::f32 && table.shape.rank() == 2 && table.shape[0] > 0, call,
          "the table must be f32 [vocabulary, width]");
  return {{with_width(call.inputs[0].shape, table.shape[1])}};
}

Specs infer_backward(const OpCall& call) {
  expects(call.inputs.size() == 2, call, "takes ids and dy");
  expect_ids(call);
  const Shape& dy = call.inputs[1].shape;
  expects(is_f32(call, 1) && dy.rank() >= 2 && dy == with_width(call.inputs[0].shape, dy[-1]), call,
          "dy must be f32 [ids..., width]");
  return {{Shape{call.attrs_as<EmbeddingBackwardAttrs>().vocabulary, dy[-1]}}};
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  const std::int64_t vocabulary = graph.spec(node.inputs[1]).shape[0];
  return {kNoValue,
          graph.emit1("embedding_backward", {node.inputs[0], dy[0]}, EmbeddingBackwardAttrs{vocabulary})};
}

// The rows that are looked up, not the whole table.
Cost cost(const OpCall& call) {
  return {0, static_cast<double>(call.inputs[0].size_bytes()) +
                 2 * static_cast<double>(call.outputs[0].size_bytes())};
}

}  // namespace

void define_embedding(Registry& registry) {
  registry.add(
      {.name = "embedding", .outputs = {Rows::each}, .infer = infer, .gradient = gradient, .cost = cost});
  registry.add({.name = "embedding_backward",
                .outputs = {Rows::sum},
                .infer = infer_backward,
                .cost = per_input_element<1>,
                .accumulates = 1});
}

}  // namespace gpunn::ops
