#include "src/ops/losses.hpp"

namespace gpunn::ops {

ValueIds loss_gradient(Graph& graph, const Node& node, std::string_view backward, ValueId what,
                       ValueId dloss) {
  const ValueId weights = node.inputs.size() > 2 ? node.inputs[2] : kNoValue;
  ValueIds shares(node.inputs.size(), kNoValue);
  shares[0] = graph.emit1(backward, {what, node.inputs[1], weights, dloss}, node.attrs);
  return shares;
}

void expect_dloss(const OpCall& call) {
  if (has(call, 3)) expects(call.inputs[3] == kPairSpec, call, "dloss must be f32 [2]");
}

void expect_class_labels(const OpCall& call) {
  call.inputs[1].dtype == Dtype::i32 ? expect_sparse_labels(call) : expect_dense_labels(call);
}

}  // namespace gpunn::ops
