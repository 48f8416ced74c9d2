#include <algorithm>

#include "src/graph/passes/rewrite.hpp"
#include "src/ops/dense.hpp"

namespace gpunn::passes {
namespace {

bool accumulates(const Node& node) {
  return std::any_of(node.accumulate.begin(), node.accumulate.end(),
                     [](ValueId id) { return id != kNoValue; });
}

// The call that makes dW from the dz of `data`, where one call could make dx from it, too.
Node* weights_beside(Rewriter& rewriter, const Node& data) {
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& node = rewriter.node(i);
    if (node.op->name != "dense_backward_weights" || node.inputs[1] != data.inputs[0]) continue;
    // A shared layer's gradients are added up: whose come first is settled, and must stay so.
    if (accumulates(node) || accumulates(data)) continue;
    const Graph& graph = rewriter.graph();
    if (graph.spec(node.outputs[0]) != graph.spec(data.inputs[1])) continue;
    if (graph.spec(node.inputs[0]) != graph.spec(data.outputs[0])) continue;
    const bool slope = data.inputs.size() > 2 && data.inputs[2] != kNoValue;
    if (slope && data.inputs[2] != node.inputs[0]) continue;
    return &node;
  }
  return nullptr;
}

}  // namespace

void fuse_dense_gradients(Graph& graph, const std::function<bool(const OpCall&)>& one_launch) {
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& data = rewriter.node(i);
    if (data.op->name != "dense_backward_data") continue;
    Node* weights = weights_beside(rewriter, data);
    if (weights == nullptr) continue;
    const ops::DenseBackwardAttrs attrs{
        std::any_cast<const ops::DenseBackwardDataAttrs&>(data.attrs).slope,
        std::any_cast<const ops::DenseBackwardWeightsAttrs&>(weights->attrs).bias};
    Node both = data;
    both.op = &find_op("dense_backward");
    both.inputs = {data.inputs[0], data.inputs[1], weights->inputs[0]};
    both.outputs = {data.outputs[0], weights->outputs[0], weights->outputs[1]};
    both.accumulate.assign(3, kNoValue);
    both.attrs = attrs;
    if (!one_launch(graph.call(both).call)) continue;
    rewriter.become(data, "dense_backward", both.inputs, attrs);
    for (const std::size_t k : {0, 1}) rewriter.replace(weights->outputs[k], data.outputs[k + 1]);
    rewriter.retire(*weights);
  }
  rewriter.finish();
}

}  // namespace gpunn::passes
