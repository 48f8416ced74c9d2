#include "src/core/text.hpp"
#include "src/graph/passes/rewrite.hpp"
#include "src/ops/dense.hpp"
#include "src/ops/losses.hpp"

namespace gpunn::passes {
namespace {

// One block of threads makes the predictions, each by one of them: longer or more sums would take longer than
// the launch that is saved.
constexpr std::int64_t kMostPredictions = 256, kLongestSum = 128;

bool is_small(const Graph& graph, const Node& dense) {
  return graph.spec(dense.outputs[0]).shape.elements() <= kMostPredictions &&
         graph.spec(dense.inputs[1]).shape[0] <= kLongestSum;
}

}  // namespace

void fuse_loss_products(Graph& graph) {
  Rewriter rewriter(graph);
  for (std::size_t i = 0; i < rewriter.size(); ++i) {
    Node& loss = rewriter.node(i);
    if (loss.op->name != "sigmoid_cross_entropy_with_gradient" &&
        loss.op->name != "mean_squared_error_with_gradient")
      continue;
    Node* dense = rewriter.producer(loss.inputs[0], "dense");
    if (dense == nullptr || rewriter.only_reader(loss.inputs[0]) != &loss || !is_small(graph, *dense))
      continue;
    if (std::any_cast<const ops::DenseAttrs&>(dense->attrs).activation != ops::Activation::linear) continue;
    const auto input = [](const Node& node, std::size_t k) {
      return k < node.inputs.size() ? node.inputs[k] : kNoValue;
    };
    const ValueIds inputs{dense->inputs[0], dense->inputs[1], input(*dense, 2), loss.inputs[1],
                          input(loss, 2)};
    loss.layer = dense->layer + " + " + loss.layer;
    rewriter.become(loss, cat(ops::kDense, loss.op->name), inputs, loss.attrs);
    rewriter.retire(*dense);
  }
  rewriter.finish();
}

}  // namespace gpunn::passes
