#include "src/ops/losses.hpp"

namespace gpunn::ops {
namespace {

Specs infer_with_gradient(const OpCall& call) {
  Specs specs = find_op(call.op.substr(0, call.op.size() - kWithGradient.size())).infer(call);
  specs.push_back(call.inputs[0]);
  specs.push_back(kPairSpec);
  return specs;
}

}  // namespace

ValueIds loss_gradient(Graph& graph, const Node& node, std::string_view backward, ValueId what,
                       ValueId dloss) {
  const ValueId weights = node.inputs.size() > 2 ? node.inputs[2] : kNoValue;
  ValueIds shares(node.inputs.size(), kNoValue);
  shares[0] = graph.emit1(backward, {what, node.inputs[1], weights, dloss}, node.attrs);
  return shares;
}

void define_with_gradient(Registry& registry, const OpDef& loss) {
  OpDef made{.name = loss.name + std::string(kWithGradient),
             .outputs = loss.outputs,
             .infer = infer_with_gradient,
             .cost = loss.cost};
  made.outputs.push_back(Rows::each);
  made.outputs.push_back(Rows::sum);
  registry.add_fused(std::move(made));
}

void expect_dloss(const OpCall& call) {
  if (has(call, 3)) expects(call.inputs[3] == kPairSpec, call, "dloss must be f32 [2]");
}

void expect_class_labels(const OpCall& call) {
  call.inputs[1].dtype == Dtype::i32 ? expect_sparse_labels(call) : expect_dense_labels(call);
}

}  // namespace gpunn::ops
