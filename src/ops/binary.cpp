#include "src/ops/binary.hpp"

#include "src/ops/common.hpp"
#include "src/ops/registry.hpp"

namespace gpunn::ops {
namespace {

// Throws unless a batched operand has the rank and the batch of the result.
void expect_batch(const OpCall& call, const Shape& result) {
  for (std::size_t k = 0; k < 2; ++k) {
    const Shape& operand = call.inputs[k].shape;
    expects((call.batched >> k & 1u) == 0 || (operand.rank() == result.rank() && operand[0] == result[0]),
            call, "a batched operand must have the result's rank and batch");
  }
  // Otherwise one operand's own first axis would be taken for rows of the batch.
  const bool only_a = call.batched == 1, only_b = call.batched == 2;
  const Shape& constant = call.inputs[only_a ? 1 : 0].shape;
  if (only_a || only_b) {
    expects(constant.rank() < result.rank() || constant[0] == 1, call,
            "an operand without a batch must broadcast over it");
  }
}

Specs infer(const OpCall& call) {
  expects(call.inputs.size() == 2 && is_f32(call, 0) && is_f32(call, 1), call, "takes two f32 operands");
  const Shape &a = call.inputs[0].shape, &b = call.inputs[1].shape;
  const int common = a.rank() < b.rank() ? a.rank() : b.rank();
  for (int axis = 1; axis <= common; ++axis) {
    expects(a[-axis] == b[-axis] || a[-axis] == 1 || b[-axis] == 1, call, "the operands do not broadcast");
  }
  const Shape result = broadcast(a, b);
  expect_batch(call, result);
  return {{result}};
}

Specs infer_backward(const OpCall& call) {
  expects(call.inputs.size() == 3 && is_f32(call, 0) && is_f32(call, 1) && is_f32(call, 2), call,
          "takes dy and two operands, all f32");
  return {call.inputs[0]};
}

// Every extent of the target, aligned at the last axis, is that of x or 1.
Specs infer_reduce(const OpCall& call) {
  expects(call.inputs.size() == 1 && is_f32(call, 0), call, "takes one f32 input");
  const Shape& x = call.inputs[0].shape;
  const Shape& target = call.attrs_as<ReduceAttrs>().target;
  expects(target.rank() <= x.rank(), call, "cannot reduce to a shape of more axes");
  for (int axis = 1; axis <= target.rank(); ++axis) {
    expects(target[-axis] == x[-axis] || target[-axis] == 1, call, "can only reduce an axis to 1 or drop it");
  }
  return {{target}};
}

Specs infer_reduce_each(const OpCall& call) {
  const Specs result = infer_reduce(call);
  const Shape& x = call.inputs[0].shape;
  expects(x.rank() >= 1 && result[0].shape.rank() == x.rank() && result[0].shape[0] == x[0], call,
          "the batch must stay; reduce_sum sums over it");
  return result;
}

Specs infer_reduce_sum(const OpCall& call) {
  const Specs result = infer_reduce(call);
  const Shape &x = call.inputs[0].shape, &target = result[0].shape;
  expects(x.rank() >= 1 && (target.rank() < x.rank() || target[0] == 1), call,
          "the batch must be summed over");
  return result;
}

ValueId reduced(Graph& graph, ValueId share, ValueId operand) {
  const Shape& target = graph.spec(operand).shape;
  if (target == graph.spec(share).shape && graph.value(operand).batched == graph.value(share).batched) {
    return share;
  }
  return graph.emit1(graph.value(operand).batched ? "reduce_each" : "reduce_sum", {share},
                     ReduceAttrs{target});
}

ValueIds gradient(Graph& graph, const Node& node, const ValueIds& dy) {
  const auto& attrs = std::any_cast<const BinaryAttrs&>(node.attrs);
  ValueIds shares;
  for (const int operand : {0, 1}) {
    const bool passes = attrs.kind == Binary::add || (attrs.kind == Binary::subtract && operand == 0);
    const ValueId share = passes ? dy[0]
                                 : graph.emit1("binary_backward", {dy[0], node.inputs[0], node.inputs[1]},
                                               BinaryBackwardAttrs{.kind = attrs.kind, .operand = operand});
    shares.push_back(reduced(graph, share, node.inputs[static_cast<std::size_t>(operand)]));
  }
  return shares;
}

}  // namespace

void define_binary(Registry& registry) {
  registry.add({.name = "binary",
                .outputs = {Rows::each},
                .infer = infer,
                .gradient = gradient,
                .cost = per_output_element<1>});
  registry.add({.name = "binary_backward",
                .outputs = {Rows::each},
                .infer = infer_backward,
                .cost = per_output_element<2>});
  registry.add({.name = "reduce_each",
                .outputs = {Rows::each},
                .infer = infer_reduce_each,
                .cost = per_input_element<1>,
                .accumulates = 1});
  registry.add({.name = "reduce_sum",
                .outputs = {Rows::sum},
                .infer = infer_reduce_sum,
                .cost = per_input_element<1>,
                .accumulates = 1});
}

}  // namespace gpunn::ops
