#include "harness.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "gpunn/random.hpp"
#include "tests/reference/interpreter.hpp"

namespace gpunn::testing {
namespace {

// Keys of the random numbers: apart for each use.
constexpr std::uint32_t kOperandStream = 1, kOrderStream = 2, kOldStream = 3;
constexpr double kFloatRounding = 0x1p-24;

std::vector<double> random(std::int64_t n, const PhiloxKey& key, double low, double high) {
  std::vector<double> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] =
        static_cast<double>(static_cast<float>(low + (high - low) * static_cast<double>(uniform01(key, i))));
  }
  return values;
}

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum);
}

void round_to_float(std::span<double> values) {
  for (double& v : values) v = static_cast<double>(static_cast<float>(v));
}

std::vector<double> copy(std::span<double> values) {
  return {values.begin(), values.end()};
}

}  // namespace

Operand uniform(Shape shape, double low, double high, int seed) {
  auto values = random(shape.elements(), {static_cast<std::uint64_t>(seed), kOperandStream, 0}, low, high);
  return {.spec = {shape}, .batched = true, .values = std::move(values)};
}

Operand distinct(Shape shape, int seed) {
  const auto n = static_cast<std::uint64_t>(shape.elements());
  const Permutation order(n, {static_cast<std::uint64_t>(seed), kOrderStream, 0});
  std::vector<double> values(n);
  for (std::uint64_t i = 0; i < n; ++i) {
    const double at = (static_cast<double>(order(i)) + 0.5) / static_cast<double>(n);
    values[i] = static_cast<double>(static_cast<float>(2 * at - 1 + 0.25 / static_cast<double>(n)));
  }
  return {.spec = {shape}, .batched = true, .values = std::move(values)};
}

Operand classes(Shape shape, std::int64_t classes, int seed) {
  Operand operand = uniform(shape, 0, static_cast<double>(classes), seed);
  operand.spec.dtype = Dtype::i32;
  for (double& v : operand.values) v = std::min(std::floor(v), static_cast<double>(classes - 1));
  return operand;
}

Operand given(Shape shape, std::vector<double> values, Dtype dtype) {
  return {.spec = {shape, dtype}, .batched = true, .values = std::move(values)};
}

Operand constant(Operand operand) {
  operand.batched = false;
  return operand;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& want, double tolerance,
                 bool mostly_zero, double of) {
  ASSERT_EQ(got.size(), want.size());
  std::vector<double> difference;
  std::vector<double> finite;
  std::size_t zeros = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!std::isfinite(want[i])) {
      EXPECT_TRUE(std::isnan(want[i]) ? std::isnan(got[i]) : got[i] == want[i])
          << "element " << i << " is " << got[i] << ", not " << want[i];
      continue;
    }
    finite.push_back(want[i]);
    difference.push_back(got[i] - want[i]);
    zeros += want[i] == 0 ? 1 : 0;
  }
  EXPECT_LE(norm(difference), tolerance * (norm(finite) + of) + 1e-37)
      << "relative error " << norm(difference) / norm(finite);
  EXPECT_TRUE(mostly_zero || finite.size() < 10 || zeros * 10 < finite.size() * 9)
      << "mistrusted: " << zeros << " of " << finite.size() << " expected numbers are zero";
}

ValueId Check::input(const Operand& operand) {
  EXPECT_EQ(static_cast<std::int64_t>(operand.values.size()), operand.spec.shape.elements());
  const ValueId id = graph.input("input" + std::to_string(inputs_.size()), operand.spec, operand.batched);
  inputs_[id] = operand.values;
  return id;
}

ValueId Check::add_loss(ValueId y) {
  const Shape shape = graph.spec(y).shape;
  EXPECT_GE(shape.rank(), 2) << "the squared error takes [batch, ...]";
  return graph.emit("mean_squared_error", {y, input(uniform(shape, -2, 2, 99)), kNoValue}).at(0);
}

void Check::run(ValueId loss, const ValueIds& wrt) {
  const std::size_t forward_nodes = graph.nodes().size();
  const ValueIds gradients = loss == kNoValue ? ValueIds{} : gpunn::gradients(graph, {loss}, wrt);
  compare_nodes();
  if (loss != kNoValue) compare_with_differences(forward_nodes, loss, wrt, gradients);
}

void Check::compare_nodes() {
  reference::Interpreter<double> interpreter(graph);
  interpreter.step = step;
  for (const auto& [id, values] : inputs_) interpreter.set(id, std::span<const double>(values));
  for (const Node& node : graph.nodes()) {
    const auto values_of = [&](const ValueIds& ids) {
      Values values;
      for (const ValueId id : ids) {
        values.push_back(id == kNoValue ? std::vector<double>{} : copy(interpreter[id]));
      }
      return values;
    };
    const Values inputs = values_of(node.inputs);
    // The share alone: what it is added onto is the interpreter's business.
    Node alone = node;
    std::fill(alone.accumulate.begin(), alone.accumulate.end(), kNoValue);
    interpreter.run(alone);
    if (!node.op->view) compare_node(node, inputs, values_of(node.outputs), values_of(node.inputs));

    // What follows starts from the same floats on both sides.
    for (std::size_t k = 0; k < node.outputs.size(); ++k) {
      const std::span<double> output = interpreter[node.outputs[k]];
      if (node.accumulate[k] != kNoValue) {
        for (std::size_t e = 0; e < output.size(); ++e) output[e] += interpreter[node.accumulate[k]][e];
      }
      results_[node.outputs[k]] = copy(output);
      round_to_float(output);
    }
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      if (node.op->mutates >> k & 1u && node.inputs[k] != kNoValue) {
        results_[node.inputs[k]] = copy(interpreter[node.inputs[k]]);
      }
    }
  }
}

void Check::compare_node(const Node& node, const Values& inputs, const Values& want, const Values& changed) {
  const std::int64_t batch = std::max<std::int64_t>(graph.batch(), 1);
  std::set<std::int64_t> sizes;
  for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{3}, std::int64_t{8}, batch}) {
    sizes.insert(std::min(rows, batch));
  }
  std::set<unsigned> accumulations = {0, node.op->accumulates};  // none, all, and each alone
  for (std::size_t k = 0; k < want.size(); ++k) accumulations.insert(node.op->accumulates & 1u << k);

  for (const std::int64_t rows : sizes) {
    for (const unsigned accumulate : accumulations) {
      SCOPED_TRACE(node.op->name + " in slices of " + std::to_string(rows) + ", adding to outputs " +
                   std::to_string(accumulate));
      const Expected expected = onto_others(want, accumulate);
      const NodeRun got =
          run_on_cpu(graph, node, with_opaque(node, inputs, rows), rows, step, accumulate, expected.old);
      implementations_.emplace(node.op->name, got.implementation);
      keep_opaque(node, got.outputs, rows);
      compare_run(node, got, expected, changed);
    }
  }
  compare_others(node, inputs, want, changed, accumulations);
}

void Check::compare_others(const Node& node, const Values& inputs, const Values& want, const Values& changed,
                           const std::set<unsigned>& accumulations) {
  for (std::size_t i = 0; i < other_backends().size(); ++i) {
    const OtherBackend& other = other_backends()[i];
    const std::int64_t maker = -1 - static_cast<std::int64_t>(i);
    for (const unsigned accumulate : accumulations) {
      SCOPED_TRACE(node.op->name + " on " + other.name + ", adding to outputs " + std::to_string(accumulate));
      const Expected expected = onto_others(want, accumulate);
      std::optional<NodeRun> got;
      try {
        got = other.run(graph, node, with_opaque(node, inputs, maker), step, accumulate, expected.old);
      } catch (const ShapeError& error) {
        if (refused.empty() || std::string(error.what()).find(refused) == std::string::npos) throw;
      }
      if (!got) continue;
      SCOPED_TRACE(got->implementation);
      keep_opaque(node, got->outputs, maker);
      compare_run(node, *got, expected, changed);
    }
  }
}

// What a backend keeps for itself it gets from itself, made in slices of the same size. One that left the
// making to the backend before it, as it would do the same, gets that one's.
Check::Values Check::with_opaque(const Node& node, Values inputs, std::int64_t maker) const {
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    auto own = opaque_.find({node.inputs[k], maker});
    for (std::int64_t m = maker + 1; own == opaque_.end() && m < 0; ++m)
      own = opaque_.find({node.inputs[k], m});
    if (own != opaque_.end()) inputs[k] = own->second;
  }
  return inputs;
}

void Check::keep_opaque(const Node& node, const Values& outputs, std::int64_t maker) {
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    if (node.op->opaque >> k & 1u) opaque_[{node.outputs[k], maker}] = outputs[k];
  }
}

Check::Expected Check::onto_others(const Values& want, unsigned accumulate) {
  Expected expected{.old = {}, .outputs = want};
  for (std::size_t k = 0; k < want.size(); ++k) {
    const bool adds = accumulate >> k & 1u;
    const auto size = static_cast<std::int64_t>(want[k].size());
    expected.old.push_back(adds ? random(size, {5, kOldStream, 0}, -1, 1) : std::vector<double>{});
    for (std::size_t e = 0; e < expected.old[k].size(); ++e) expected.outputs[k][e] += expected.old[k][e];
  }
  return expected;
}

void Check::compare_run(const Node& node, const NodeRun& got, const Expected& expected,
                        const Values& changed) {
  const double tolerance = 4 * std::sqrt(std::max(terms, 1.0)) * kFloatRounding;
  for (std::size_t k = 0; k < got.outputs.size(); ++k) {
    SCOPED_TRACE("output " + std::to_string(k));
    if (node.op->opaque >> k & 1u) continue;
    const bool whole_numbers = graph.spec(node.outputs[k]).dtype != Dtype::f32;
    expect_near(got.outputs[k], expected.outputs[k], whole_numbers ? 0 : tolerance,
                mostly_zero || whole_numbers, norm(expected.old[k]));
  }
  for (std::size_t k = 0; k < got.inputs.size(); ++k) {
    if ((node.op->mutates >> k & 1u) == 0 || node.inputs[k] == kNoValue) continue;
    SCOPED_TRACE("changed input " + std::to_string(k));
    expect_near(got.inputs[k], changed[k], tolerance, mostly_zero);
  }
}

void Check::compare_with_differences(std::size_t forward_nodes, ValueId loss, const ValueIds& wrt,
                                     const ValueIds& gradients) {
  constexpr double kStep = 1e-5, kTolerance = 1e-6;
  constexpr std::size_t kMostElements = 60;  // of an input, evenly spread: each costs two forward runs
  reference::Interpreter<double> interpreter(graph);
  interpreter.step = step;
  const auto reset = [&] {
    for (const auto& [id, values] : inputs_) interpreter.set(id, std::span<const double>(values));
  };
  reset();
  interpreter.run();
  const auto objective = [&] {
    interpreter.run(0, forward_nodes);
    return interpreter[loss][0] / interpreter[loss][1];
  };
  for (std::size_t k = 0; k < wrt.size(); ++k) {
    SCOPED_TRACE("gradient by input " + std::to_string(k));
    ASSERT_NE(gradients[k], kNoValue) << "nothing flows back";
    ASSERT_EQ(graph.spec(gradients[k]), graph.spec(wrt[k]));
    const std::vector<double> analytic = copy(interpreter[gradients[k]]);
    const std::size_t stride = (analytic.size() + kMostElements - 1) / kMostElements;
    std::vector<double> got, want;
    for (std::size_t i = 0; i < analytic.size(); i += stride) {
      const double x = interpreter[wrt[k]][i];
      interpreter[wrt[k]][i] = x + kStep;
      const double above = objective();
      interpreter[wrt[k]][i] = x - kStep;
      const double below = objective();
      interpreter[wrt[k]][i] = x;
      got.push_back(analytic[i]);
      want.push_back((above - below) / (2 * kStep));
    }
    // Differences of a loss around 1 carry an error of about 1e-11 each, which is not the gradient's.
    std::vector<double> difference(got.size());
    for (std::size_t i = 0; i < got.size(); ++i) difference[i] = got[i] - want[i];
    EXPECT_LE(norm(difference), kTolerance * norm(got) + 1e-10 * std::sqrt(static_cast<double>(got.size())))
        << "relative error " << norm(difference) / norm(got);
    const auto zeros = static_cast<std::size_t>(std::count(got.begin(), got.end(), 0.0));
    EXPECT_TRUE(mostly_zero || got.size() < 10 || zeros * 10 < got.size() * 9) << "mistrusted: mostly zeros";
  }
}

std::string Check::implementation(const std::string& op) const {
  const auto found = implementations_.find(op);
  return found == implementations_.end() ? "did not run" : found->second;
}

Check check(const OpCase& the_case) {
  Check check;
  check.terms = the_case.terms;
  check.mostly_zero = the_case.mostly_zero;
  check.refused = the_case.refused;
  ValueIds inputs;
  for (const auto& operand : the_case.inputs) inputs.push_back(operand ? check.input(*operand) : kNoValue);
  ValueIds wrt;
  for (const int k : the_case.wrt) wrt.push_back(inputs[static_cast<std::size_t>(k)]);
  const ValueIds outputs = check.graph.emit(the_case.op, inputs, the_case.attrs);
  if (wrt.empty()) {
    check.run();
  } else {
    check.run(the_case.loss ? outputs[0] : check.add_loss(outputs[0]), wrt);
  }
  return check;
}

void expect_shape_error(const std::string& op, const Attrs& attrs, const std::vector<Spec>& inputs,
                        const std::string& what) {
  Graph graph;
  ValueIds ids;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    ids.push_back(graph.input("input" + std::to_string(k), inputs[k], false));
  }
  graph.set_layer("layer", {"program.cpp", 12});
  try {
    graph.emit(op, ids, attrs);
    ADD_FAILURE() << op << ": no exception";
  } catch (const ShapeError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.rfind("program.cpp:12: " + op + ": ", 0), 0U) << message;
    EXPECT_NE(message.find(what), std::string::npos) << message;
    for (const Spec& spec : inputs)
      EXPECT_NE(message.find(to_string(spec.shape)), std::string::npos) << message;
  }
}

}  // namespace gpunn::testing
