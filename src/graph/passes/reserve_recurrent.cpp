#include "src/graph/passes/rewrite.hpp"
#include "src/ir/backend.hpp"
#include "src/ops/recurrent.hpp"

namespace gpunn::passes {

void reserve_recurrent(Graph& graph, const Backend& backend, const Policy& policy) {
  Rewriter rewriter(graph);
  for (const Node& node : graph.nodes()) {
    if (node.op->name != "recurrent" || node.inputs.empty()) continue;
    // A library's reserve is used up by the one who reads it.
    const ValueId kept = node.outputs[ops::kRecurrentOutKept];
    const Node* reader = rewriter.only_reader(kept);
    if (reader == nullptr || reader->op->name != "recurrent_backward") continue;
    const auto call = graph.call(node);
    Shape& shape = graph.mutable_values()[static_cast<std::size_t>(kept)].spec.shape;
    const std::int64_t floats = backend.recurrent_reserve(call.call, policy);
    if (floats > shape[2]) shape = Shape{shape[0], shape[1], floats};
  }
}

}  // namespace gpunn::passes
