#include <map>
#include <utility>

#include "src/graph/passes/rewrite.hpp"
#include "src/ops/recurrent.hpp"

namespace gpunn::passes {

void pack_recurrent(Graph& graph) {
  std::map<std::pair<ValueId, ValueId>, ValueId> packed;  // by kernels: a layer called twice packs once
  const std::size_t nodes = graph.nodes().size();
  for (std::size_t i = 0; i < nodes; ++i) {
    const Node node = graph.nodes()[i];  // a copy: emitting moves the nodes
    if (node.op->name != "recurrent" || node.inputs[ops::kRecurrentPacked] != kNoValue) continue;
    const ValueId kernel = node.inputs[ops::kRecurrentKernel], weights = node.inputs[ops::kRecurrentWeights];
    const auto [found, fresh] = packed.try_emplace({kernel, weights}, kNoValue);
    if (fresh) {
      graph.set_layer(node.layer, node.where);
      found->second =
          graph.emit1("recurrent_pack", {kernel, weights, node.inputs[ops::kRecurrentBias]}, node.attrs);
    }
    graph.nodes()[i].inputs[ops::kRecurrentPacked] = found->second;
  }
  graph.set_layer("");
  Rewriter(graph).finish();
}

}  // namespace gpunn::passes
