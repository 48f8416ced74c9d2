// Every op through the same mill: shapes, the CPU and the software CUDA device against the reference,
// gradients against differences.
//
// A Check holds a graph and the values of its inputs. run() computes it on the reference in double and, node
// by node, from the same inputs (rounded to float) on the CPU, cut into slices of several sizes, and on the
// other backends of the build (cpu_node.hpp), at once. Outputs are
// overwritten on memory full of NaN and, where the op can, added onto other content; guards around every
// buffer find what is written beside it. What an op keeps for its own other half (OpDef::opaque) is handed
// on, not compared.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "cpu_node.hpp"
#include "gpunn/cpu.hpp"
#include "gpunn/graph.hpp"

namespace gpunn::testing {

// An input of a graph under test. Values are exact in the dtype.
struct Operand {
  Spec spec;
  bool batched = true;
  std::vector<double> values;
};

// Uniform numbers, the same for the same shape and seed.
Operand uniform(Shape shape, double low = -1, double high = 1, int seed = 1);
// Distinct numbers at least 1 / elements apart, in random order: no ties for max, no kink near 0 for relu.
Operand distinct(Shape shape, int seed = 1);
Operand classes(Shape shape, std::int64_t classes, int seed = 1);  // i32 in [0, classes)
Operand given(Shape shape, std::vector<double> values, Dtype dtype = Dtype::f32);
// The same without a batch axis.
Operand constant(Operand operand);

class Check {
 public:
  Graph graph;
  cpu::StepState step{.seed = 7, .step = 3, .learning_rate = 0.01f, .gradient_scale = 1.0f};
  // The longest sum in the graph: float results may be off by 4 * sqrt(terms) * 2^-24 of their norm.
  double terms = 1;
  bool mostly_zero = false;  // results are expected to be; else a comparison of zeros is mistrusted
  std::string refused = {};  // what other backends than the CPU say in refusing this form of the op

  ValueId input(const Operand& operand);

  // Appends the squared error of `y` against random labels; then run() checks gradients through it.
  ValueId add_loss(ValueId y);

  // Compares all nodes. With `loss`, also appends its gradients by the inputs `wrt` and compares these with
  // central differences in double.
  void run(ValueId loss = kNoValue, const ValueIds& wrt = {});

  // After run(): the reference's value.
  std::vector<double> reference(ValueId id) const {
    return results_.contains(id) ? results_.at(id) : inputs_.at(id);
  }
  // After run(): the name of the implementation that computed the first node of that op on the CPU.
  std::string implementation(const std::string& op) const;

 private:
  using Values = std::vector<std::vector<double>>;
  void compare_nodes();
  void compare_node(const Node& node, const Values& inputs, const Values& want, const Values& changed);
  void compare_others(const Node& node, const Values& inputs, const Values& want, const Values& changed,
                      const std::set<unsigned>& accumulations);
  Values with_opaque(const Node& node, Values inputs, std::int64_t maker) const;
  void keep_opaque(const Node& node, const Values& outputs, std::int64_t maker);
  struct Expected {
    Values old, outputs;  // what outputs hold beforehand, and afterwards
  };
  static Expected onto_others(const Values& want, unsigned accumulate);
  void compare_run(const Node& node, const NodeRun& got, const Expected& expected, const Values& changed);
  void compare_with_differences(std::size_t forward_nodes, ValueId loss, const ValueIds& wrt,
                                const ValueIds& gradients);

  std::map<ValueId, std::vector<double>> inputs_, results_;
  std::map<std::pair<ValueId, std::int64_t>, std::vector<double>>
      opaque_;  // by maker: rows of a slice, or -1 - i for the i-th other backend
  std::map<std::string, std::string> implementations_;
};

// One op on its inputs (std::nullopt: absent). Differentiable ops are checked with their gradients by every
// f32 input, through a squared error unless the op is a loss itself.
struct OpCase {
  std::string op;
  Attrs attrs = {};
  std::vector<std::optional<Operand>> inputs = {};
  double terms = 1;
  std::vector<int> wrt = {};  // the inputs whose gradients are checked against differences
  bool loss = false;          // the op's first output is (sum, weight)
  bool mostly_zero = false;
  std::string refused = {};
};
// Returns the check, for further questions.
Check check(const OpCase& the_case);

// Emitting throws a ShapeError that names the op, every shape and the line, and says `what`.
void expect_shape_error(const std::string& op, const Attrs& attrs, const std::vector<Spec>& inputs,
                        const std::string& what);

// Fails unless |got - want| <= tolerance * (|want| + of), in the 2-norm, with NaN and infinities at the same
// places. `of`: the norm of what a sum may have cancelled.
void expect_near(const std::vector<double>& got, const std::vector<double>& want, double tolerance,
                 bool mostly_zero = false, double of = 0);

}  // namespace gpunn::testing
