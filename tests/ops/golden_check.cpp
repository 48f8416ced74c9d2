#include "golden_check.hpp"

#include "src/ops/binary.hpp"

namespace gpunn::testing {

ValueId GoldenCheck::add(const std::string& kind, bool batched) {
  const Tensor* tensor = family_.find(name_ + "/" + kind);
  if (tensor == nullptr) return kNoValue;
  const Dtype dtype = tensor->dtype() == Dtype::i32 ? Dtype::i32 : Dtype::f32;
  Operand operand = given(tensor->shape(), values_of(*tensor), dtype);
  operand.batched = batched;
  return check.input(operand);
}

void GoldenCheck::differentiate(ValueId y) {
  const std::size_t forward_nodes = graph().nodes().size();
  gradients_[y] = batched("cotangent");
  for (std::size_t i = forward_nodes; i-- > 0;) {
    const Node node = graph().nodes()[i];  // a copy: emitting moves the nodes
    ValueIds dy;
    for (const ValueId id : node.outputs) dy.push_back(gradient(id));
    const bool reached = std::any_of(dy.begin(), dy.end(), [](ValueId id) { return id != kNoValue; });
    if (!reached || node.op->gradient == nullptr) continue;
    const ValueIds shares = node.op->gradient(graph(), node, dy);
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      if (node.inputs[k] == kNoValue || shares[k] == kNoValue) continue;
      ValueId& sum = gradients_.try_emplace(node.inputs[k], kNoValue).first->second;
      sum = sum == kNoValue ? shares[k] : graph().emit1("binary", {sum, shares[k]}, ops::BinaryAttrs{});
    }
  }
}

ValueId GoldenCheck::gradient(ValueId value) const {
  const auto found = gradients_.find(value);
  return found == gradients_.end() ? kNoValue : found->second;
}

void GoldenCheck::compare(const std::vector<std::pair<std::string, ValueId>>& wanted) {
  constexpr double kTolerance =
      1e-6;                  // between nodes the reference rounds to float, as what it is compared with
  check.mostly_zero = true;  // cases are small, and some are edges
  check.run();
  std::size_t compared = 0;
  for (const auto& [kind, id] : wanted) {
    const Tensor* want = family_.find(name_ + "/" + kind);
    if (want == nullptr) continue;
    SCOPED_TRACE(kind);
    ASSERT_NE(id, kNoValue);
    expect_near(check.reference(id), values_of(*want), kTolerance, true);
    ++compared;
  }
  EXPECT_GT(compared, 0U) << "nothing was compared";
}

}  // namespace gpunn::testing
