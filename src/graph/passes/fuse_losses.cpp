#include "src/graph/passes/rewrite.hpp"
#include "src/ops/accuracy.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/losses.hpp"

namespace gpunn::passes {
namespace {

struct LossKind {
  std::string_view name;
  bool logits;               // takes logits: output 1 is the probabilities, which backward and metrics read
  bool binary, categorical;  // whose accuracy its kernel counts
};
constexpr LossKind kLosses[] = {{"softmax_cross_entropy", true, false, true},
                                {"sigmoid_cross_entropy", true, true, false},
                                {"cross_entropy", false, false, true},
                                {"binary_cross_entropy", false, true, false},
                                {"mean_squared_error", false, false, false}};

const LossKind* kind_of(const Node& node) {
  for (const LossKind& kind : kLosses) {
    if (node.op->name == kind.name) return &kind;
  }
  return nullptr;
}

ValueId input(const Node& node, std::size_t k) {
  return k < node.inputs.size() ? node.inputs[k] : kNoValue;
}

// Of the same predictions, labels and weights as `loss`.
bool is_gradient_of(const Node& node, const Node& loss, ValueId predictions) {
  return node.op->name == loss.op->name + "_backward" && node.inputs[0] == predictions &&
         node.inputs[1] == loss.inputs[1] && input(node, 2) == input(loss, 2) && input(node, 3) == kNoValue &&
         node.accumulate[0] == kNoValue;
}

bool is_accuracy_of(const Node& node, const Node& loss, const LossKind& kind, ValueId predictions) {
  if (node.op->name != "accuracy" || node.inputs[0] != predictions || node.inputs[1] != loss.inputs[1] ||
      input(node, 2) != input(loss, 2)) {
    return false;
  }
  const bool binary = std::any_cast<const ops::AccuracyAttrs&>(node.attrs).kind == ops::Accuracy::binary;
  return binary ? kind.binary : kind.categorical;
}

}  // namespace

void fuse_loss_gradients(Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& loss = rewriter.node(i);
    const LossKind* kind = kind_of(loss);
    if (kind == nullptr) continue;
    const ValueId predictions = kind->logits ? loss.outputs[1] : loss.inputs[0];
    Node *backward = nullptr, *accuracy = nullptr;
    for (std::size_t k = 0; k < rewriter.size(); ++k) {
      Node& node = rewriter.node(k);
      if (is_gradient_of(node, loss, predictions)) backward = &node;
      if (is_accuracy_of(node, loss, *kind, predictions)) accuracy = &node;
    }
    if (backward == nullptr) continue;
    const std::size_t own = loss.outputs.size();
    rewriter.become(loss, std::string(kind->name) + std::string(ops::kWithGradient), loss.inputs,
                    ops::LossGradientAttrs{accuracy != nullptr});
    const auto take = [&](Node* node, std::size_t output) {
      if (node == nullptr) return;
      rewriter.replace(node->outputs[0], loss.outputs[output]);
      rewriter.retire(*node);
    };
    take(backward, own);
    take(accuracy, own + 1);
  }
  rewriter.finish();
}

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
