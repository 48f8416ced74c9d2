// Ops against the values that Keras and PyTorch computed (tests/golden): the reference in double to the last
// digits that float attributes leave, and through it the CPU.
#pragma once

#include "harness.hpp"
#include "tests/support/golden.hpp"

namespace gpunn::testing {

inline std::vector<double> values_of(const Tensor& tensor) {
  const Tensor converted = tensor.to(Dtype::f64);
  return {converted.data<double>().begin(), converted.data<double>().end()};
}

class GoldenCheck {
 public:
  GoldenCheck(const golden::Family& family, std::string name) : family_(family), name_(std::move(name)) {}

  Check check;
  Graph& graph() { return check.graph; }

  // A tensor of the case as an input of the graph; kNoValue when the case has none of that name.
  ValueId batched(const std::string& kind) { return add(kind, true); }
  ValueId constant(const std::string& kind) { return add(kind, false); }

  // Seeds the gradient of `y` with the case's cotangent and emits backward.
  void differentiate(ValueId y);
  ValueId gradient(ValueId value) const;

  // Runs the CPU against the reference, and compares the reference with the case's tensors.
  void compare(const std::vector<std::pair<std::string, ValueId>>& wanted);

 private:
  ValueId add(const std::string& kind, bool batched);

  const golden::Family& family_;
  std::string name_;
  std::map<ValueId, ValueId> gradients_;
};

// Calls use(case name, attributes) for each case of a family.
template <class Use>
void for_each_golden_case(const golden::Family& family, Use use) {
  EXPECT_FALSE(family.cases().empty());
  for (const std::string& name : family.cases()) {
    SCOPED_TRACE(name);
    use(name, family.attributes(name));
  }
}

}  // namespace gpunn::testing
