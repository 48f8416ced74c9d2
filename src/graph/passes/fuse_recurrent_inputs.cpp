#include <algorithm>

#include "src/graph/passes/rewrite.hpp"
#include "src/ops/dropout.hpp"
#include "src/ops/recurrent.hpp"

namespace gpunn::passes {
namespace {

using Takes = std::function<bool(const OpCall&)>;

bool reads(const Node& node, ValueId id) {
  return std::count(node.inputs.begin(), node.inputs.end(), id) > 0;
}

void draw_mask(Rewriter& rewriter, Node& layer) {
  const ValueId mask = layer.inputs[ops::kRecurrentInputDropout];
  Node* maker = rewriter.producer(mask, "dropout_mask");
  if (maker == nullptr || rewriter.graph().value(mask).place.store != Store::arena) return;
  for (const Node& node : rewriter.graph().nodes()) {
    if (&node != &layer && node.op->name != "recurrent_backward" && reads(node, mask)) return;
  }
  auto attrs = std::any_cast<ops::RecurrentAttrs>(layer.attrs);
  attrs.draws = true;
  attrs.dropout = std::any_cast<const ops::DropoutMaskAttrs&>(maker->attrs).dropout;
  ValueIds inputs = layer.inputs;
  inputs[ops::kRecurrentInputDropout] = kNoValue;
  layer.outputs.resize(ops::kRecurrentOutMask);
  rewriter.become(layer, "recurrent", std::move(inputs), attrs);
  rewriter.replace(mask, layer.outputs[ops::kRecurrentOutMask]);
  rewriter.retire(*maker);
}

// Only where nobody else needs what is looked up.
void look_up(Rewriter& rewriter, Node& embedding, const Takes& takes_input) {
  Graph& graph = rewriter.graph();
  const ValueId ids = embedding.inputs[0], x = embedding.outputs[0];
  if (graph.spec(ids).shape.rank() != 2 || graph.value(x).place.store != Store::arena) return;
  std::vector<Node*> readers;
  for (Node& node : graph.nodes()) {
    if (!reads(node, x)) continue;
    const bool forward = node.op->name == "recurrent";
    if (!forward && node.op->name != "recurrent_backward") return;
    if (node.inputs[ops::kRecurrentX] != x || std::count(node.inputs.begin(), node.inputs.end(), x) > 1)
      return;
    if (forward && !takes_input(graph.call(node).call)) return;
    readers.push_back(&node);
  }
  for (Node* node : readers) {
    node->inputs[ops::kRecurrentX] = ids;
    node->inputs[ops::kRecurrentTable] = embedding.inputs[1];
    if (!node->backward) node->layer = embedding.layer + " + " + node->layer;
  }
  if (!readers.empty()) rewriter.retire(embedding);
}

}  // namespace

void fuse_recurrent_inputs(Graph& graph, const Takes& takes_input) {
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& node = rewriter.node(i);
    if (node.op->name == "recurrent" && takes_input(graph.call(node).call)) draw_mask(rewriter, node);
  }
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& node = rewriter.node(i);
    if (node.op->name == "embedding") look_up(rewriter, node, takes_input);
  }
  rewriter.finish();
}

}  // namespace gpunn::passes
