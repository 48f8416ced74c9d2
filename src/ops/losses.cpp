#include "src/ops/losses.hpp"

#include "src/core/text.hpp"

namespace gpunn::ops {
namespace {

Specs infer_with_gradient(const OpCall& call) {
  Specs specs = find_op(call.op.substr(0, call.op.size() - kWithGradient.size())).infer(call);
  specs.push_back(call.inputs[0]);
  specs.push_back(kPairSpec);
  return specs;
}

Specs infer_dense_with_gradient(const OpCall& call) {
  expects(call.inputs.size() == 5, call, "takes x, W, a bias, labels and weights");
  Specs inputs;
  return infer_with_gradient(loss_behind_dense(call, inputs));
}

Cost cost_dense_with_gradient(const OpCall& call) {
  return arithmetic(call, 2.0 * static_cast<double>(call.inputs[0].shape.elements()) *
                              static_cast<double>(call.inputs[1].shape[1]));
}

}  // namespace

OpCall loss_behind_dense(const OpCall& call, Specs& inputs) {
  OpCall part = call;
  part.op = "dense", part.inputs = call.inputs.first(3);
  const Specs predictions = find_op("dense").infer(part);
  inputs = {predictions[0], call.inputs[3], call.inputs[4]};
  part.op = call.op.substr(kDense.size()), part.inputs = inputs;
  return part;
}

void define_dense_with_gradient(Registry& registry, const OpDef& loss) {
  OpDef made{.name = cat(kDense, loss.name, kWithGradient),
             .outputs = loss.outputs,
             .infer = infer_dense_with_gradient,
             .cost = cost_dense_with_gradient};
  made.outputs.push_back(Rows::each);
  made.outputs.push_back(Rows::sum);
  registry.add_fused(std::move(made));
}

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
