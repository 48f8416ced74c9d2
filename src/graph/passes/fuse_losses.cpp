#include "src/graph/passes/rewrite.hpp"
#include "src/ops/activation.hpp"

namespace gpunn::passes {

void fuse_losses(Graph& graph) {
  Rewriter rewriter(graph);
  const auto fuse = [&](Node& loss, Node* activation, std::string_view fused) {
    const ValueId probabilities = loss.inputs[0];
    ValueIds inputs = loss.inputs;
    inputs[0] = activation->inputs[0];
    rewriter.become(loss, fused, std::move(inputs), {});
    rewriter.replace(probabilities, loss.outputs[1]);
  };
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& node = rewriter.node(i);
    if (node.op->name == "cross_entropy") {
      if (Node* softmax = rewriter.producer(node.inputs[0], "softmax"))
        fuse(node, softmax, "softmax_cross_entropy");
    } else if (node.op->name == "binary_cross_entropy") {
      Node* activation = rewriter.producer(node.inputs[0], "activation");
      if (activation == nullptr) continue;
      const auto kind = std::any_cast<const ops::ActivationAttrs&>(activation->attrs).kind;
      if (kind == ops::Activation::sigmoid) fuse(node, activation, "sigmoid_cross_entropy");
    }
  }
  rewriter.finish();
}

}  // namespace gpunn::passes
