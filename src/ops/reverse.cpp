#include "src/ops/reverse.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 1 && is_f32(call, 0) && call.inputs[0].shape.rank() >= 2, call,
          "takes one f32 input [batch, steps, ...]");
  return {call.inputs[0]};
}

ValueIds gradient(Graph& graph, const Node&, const ValueIds& dy) {
  return {graph.emit1("reverse", {dy[0]})};
}

}  // namespace

void define_reverse(Registry& registry) {
  registry.add(
      {.name = "reverse", .outputs = {Rows::each}, .infer = infer, .gradient = gradient, .accumulates = 1});
}

}  // namespace gpunn::ops
