#include "src/ops/recurrent.hpp"

#include <algorithm>
#include <cmath>

#include "harness.hpp"
#include "src/ops/concatenate.hpp"
#include "src/ops/reshape.hpp"

namespace gpunn::testing {
namespace {

using ops::RecurrentAttrs;
using ops::RecurrentCell;

struct Sizes {
  std::int64_t batch = 9, steps = 3, input = 5, units = 7;
};

struct With {
  bool bias = true, mask = false, initial = false, packed = false;
  std::int64_t dropout = 0;  // masks for x and for h: none, 1, or one for each gate
};

// The ids of a recurrent node and of what may be asked for gradients.
struct Built {
  ValueIds outputs, wrt;
};

Operand mask_of(const Sizes& n) {
  std::vector<double> real;
  for (std::int64_t row = 0; row < n.batch; ++row) {
    // Padded behind, in front, and with holes; the first row in full, the second not at all.
    for (std::int64_t t = 0; t < n.steps; ++t) {
      real.push_back(row == 0 ? 1 : row == 1 ? 0 : row % 3 == 0 ? t > 0 : row % 3 == 1 ? t < 2 : t % 2);
    }
  }
  return given({n.batch, n.steps}, std::move(real), Dtype::u8);
}

Built build(Check& check, const Sizes& n, const RecurrentAttrs& attrs, const With& with) {
  const std::int64_t gates = ops::recurrent_gates(attrs.cell), biases = ops::recurrent_biases(attrs.cell);
  const double scale = 1 / std::sqrt(static_cast<double>(n.units));
  ValueIds in(ops::kRecurrentForwardInputs, kNoValue);
  Built built;
  const auto give = [&](std::size_t k, const Operand& operand, bool differentiable = true) {
    in[k] = check.input(operand);
    if (differentiable) built.wrt.push_back(in[k]);
  };
  give(ops::kRecurrentX, uniform({n.batch, n.steps, n.input}, -1, 1, 1), false);
  give(ops::kRecurrentKernel, constant(uniform({n.input, gates * n.units}, -scale, scale, 2)));
  give(ops::kRecurrentWeights, constant(uniform({n.units, gates * n.units}, -scale, scale, 3)));
  const Shape bias = biases == 2 ? Shape{2, gates * n.units} : Shape{gates * n.units};
  if (with.bias) give(ops::kRecurrentBias, constant(uniform(bias, -scale, scale, 4)));
  if (with.mask) give(ops::kRecurrentMask, mask_of(n), false);
  if (with.initial) {
    give(ops::kRecurrentH0, uniform({n.batch, n.units}, -1, 1, 5));
    if (attrs.cell == RecurrentCell::lstm) give(ops::kRecurrentC0, uniform({n.batch, n.units}, -1, 1, 6));
  }
  if (with.dropout > 0) {
    give(ops::kRecurrentInputDropout, uniform({n.batch, with.dropout, n.input}, 0, 2, 7), false);
    give(ops::kRecurrentStateDropout, uniform({n.batch, with.dropout, n.units}, 0, 2, 8), false);
  }
  if (with.packed) {
    in[ops::kRecurrentPacked] = check.graph.emit1(
        "recurrent_pack", {in[ops::kRecurrentKernel], in[ops::kRecurrentWeights], in[ops::kRecurrentBias]},
        attrs);
  }
  // An input of the graph itself gets no gradient: x passes an op first.
  const ValueId x = in[ops::kRecurrentX];
  built.wrt.push_back(x);
  in[ops::kRecurrentX] = check.graph.emit1("reverse", {x});
  built.outputs = check.graph.emit("recurrent", in, attrs);
  return built;
}

// The loss looks at the sequence, if there is one, and at the last states, so that all gradients meet.
ValueId loss_of(Check& check, const RecurrentAttrs& attrs, const ValueIds& outputs, const Sizes& n) {
  Graph& graph = check.graph;
  ValueIds parts = {outputs[ops::kRecurrentOutH]};
  if (attrs.cell == RecurrentCell::lstm) parts.push_back(outputs[ops::kRecurrentOutC]);
  if (attrs.sequence) {
    parts.push_back(graph.emit1("reshape", {outputs[ops::kRecurrentOutSequence]},
                                ops::ReshapeAttrs{Shape{n.steps * n.units}}));
  }
  const ValueId joined =
      parts.size() == 1 ? parts[0] : graph.emit1("concatenate", parts, ops::ConcatenateAttrs{1});
  return check.add_loss(joined);
}

void expect_right(const Sizes& n, RecurrentAttrs attrs, const With& with) {
  SCOPED_TRACE(std::string(to_string(attrs.cell)) + (attrs.sequence ? ", sequence" : "") +
               (attrs.reversed ? ", reversed" : "") + ", batch " + std::to_string(n.batch) + ", steps " +
               std::to_string(n.steps) + ", input " + std::to_string(n.input) + ", units " +
               std::to_string(n.units));
  attrs.keep = true;
  Check check;
  // Errors of a step pass through the steps after it. Each has a sum of input + units products and gates,
  // whose exponentials are off by as much as some products more.
  constexpr std::int64_t kGateTerms = 8;
  check.terms = static_cast<double>((n.input + n.units + kGateTerms) * n.steps * n.batch);
  check.mostly_zero = with.mask;
  const Built built = build(check, n, attrs, with);
  check.run(loss_of(check, attrs, built.outputs, n), built.wrt);
  const std::string name = check.implementation("recurrent");
  EXPECT_EQ(name.find("any activation") == std::string::npos, ops::has_default_activations(attrs)) << name;
  EXPECT_EQ(check.implementation("recurrent_backward"), name);
}

constexpr RecurrentCell kCells[] = {RecurrentCell::simple, RecurrentCell::gru,
                                    RecurrentCell::gru_reset_before, RecurrentCell::lstm};

class Recurrent : public ::testing::TestWithParam<RecurrentCell> {
 protected:
  RecurrentAttrs attrs(bool sequence, bool reversed = false) const {
    return {.cell = GetParam(), .sequence = sequence, .reversed = reversed};
  }
};

TEST_P(Recurrent, ThroughTime) {
  for (const std::int64_t steps : {1, 2, 7}) {
    expect_right({.steps = steps}, attrs(true), {.initial = true});
    expect_right({.steps = steps}, attrs(false), {.initial = true, .packed = true});
  }
  expect_right({.batch = 2, .steps = 100, .input = 2, .units = 3}, attrs(true), {});
}

// Around vectors of 4, 8 and 16, tiles of rows, and chunks of 128 rows times steps.
TEST_P(Recurrent, SizesAroundTiles) {
  for (const std::int64_t units : {1, 15, 16, 17, 31}) {
    expect_right({.batch = 5, .steps = 2, .input = units + 1, .units = units}, attrs(true), {.packed = true});
  }
  for (const std::int64_t batch : {1, 4, 17}) {
    expect_right({.batch = batch, .steps = 9, .input = 3, .units = 4}, attrs(true), {});
  }
}

TEST_P(Recurrent, Options) {
  for (const bool sequence : {false, true}) {
    expect_right({}, attrs(sequence), {.bias = false});
    expect_right({}, attrs(sequence), {.initial = true});
    expect_right({.steps = 5}, attrs(sequence), {.mask = true, .initial = true});
    expect_right({.steps = 5}, attrs(sequence, true), {.mask = true, .packed = true});
    expect_right({}, attrs(sequence, true), {});
  }
}

TEST_P(Recurrent, DropoutMasksForAllGatesOrEach) {
  expect_right({}, attrs(true), {.dropout = 1});
  expect_right({}, attrs(false), {.dropout = ops::recurrent_gates(GetParam())});
}

TEST_P(Recurrent, OtherActivations) {
  using ops::Activation;
  const std::pair<Activation, Activation> pairs[] = {{Activation::relu, Activation::sigmoid},
                                                     {Activation::gelu, Activation::tanh},
                                                     {Activation::linear, Activation::linear},
                                                     {Activation::sigmoid, Activation::relu}};
  for (const auto& [activation, gate] : pairs) {
    RecurrentAttrs a = attrs(true);
    a.activation = activation;
    a.recurrent_activation = gate;
    expect_right({}, a, {});
  }
}

// Without backward nothing is kept, and the results are the same.
TEST_P(Recurrent, KeepsNothingOutsideTraining) {
  Check check;
  check.terms = 100;
  RecurrentAttrs a = attrs(false);
  const Built built = build(check, {}, a, {.packed = true});
  check.run();
  EXPECT_EQ(check.graph.spec(built.outputs[ops::kRecurrentOutKept]).shape, (Shape{9, 0}));
  EXPECT_THROW(static_cast<void>(gradients(check.graph, {loss_of(check, a, built.outputs, {})}, built.wrt)),
               UsageError);
}

TEST_P(Recurrent, NanStaysInItsRow) {
  RecurrentAttrs a = attrs(true);
  const Sizes n;
  const std::int64_t gates = ops::recurrent_gates(a.cell);
  Operand x = uniform({n.batch, n.steps, n.input});
  x.values[static_cast<std::size_t>(4 * n.steps * n.input)] = std::nan("");  // row 4, step 0
  Check check;
  check.terms = 100;
  ValueIds in(ops::kRecurrentForwardInputs, kNoValue);
  in[ops::kRecurrentX] = check.input(x);
  in[ops::kRecurrentKernel] = check.input(constant(uniform({n.input, gates * n.units})));
  in[ops::kRecurrentWeights] = check.input(constant(uniform({n.units, gates * n.units})));
  const ValueIds out = check.graph.emit("recurrent", in, a);
  check.run();  // NaN where the reference has it, and nowhere else
  EXPECT_TRUE(std::isnan(check.reference(out[ops::kRecurrentOutH])[static_cast<std::size_t>(4 * n.units)]));
}

INSTANTIATE_TEST_SUITE_P(Cells, Recurrent, ::testing::ValuesIn(kCells), [](const auto& info) {
  std::string name(ops::to_string(info.param));
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
});

TEST(RecurrentShapes, KeptIsWhatTheHeaderSays) {
  const auto bytes = [](RecurrentCell cell, bool sequence) {
    return 4 * ops::recurrent_kept_floats({.cell = cell, .sequence = sequence}, 64);
  };
  EXPECT_EQ(bytes(RecurrentCell::gru, true), 1024);
  EXPECT_EQ(bytes(RecurrentCell::gru, false), 1280);
  EXPECT_EQ(bytes(RecurrentCell::gru_reset_before, true), 768);
  EXPECT_EQ(bytes(RecurrentCell::lstm, true), 1280);
  EXPECT_EQ(bytes(RecurrentCell::simple, true), 0);
  EXPECT_EQ(bytes(RecurrentCell::simple, false), 256);
}

TEST(RecurrentShapes, Wrong) {
  const Spec x{Shape{2, 3, 4}}, kernel{Shape{4, 15}}, recurrent{Shape{5, 15}}, bias{Shape{2, 15}},
      none{Shape{0}};
  const auto refuse = [&](std::vector<Spec> inputs, const std::string& what) {
    inputs.resize(ops::kRecurrentForwardInputs, none);
    expect_shape_error("recurrent", RecurrentAttrs{}, inputs, what);
  };
  refuse({{Shape{2, 3}}, kernel, recurrent, bias}, "x must be f32 [batch, steps, input]");
  refuse({{Shape{2, 3, 4}, Dtype::i32}, kernel, recurrent, bias}, "x must be f32");
  refuse({x, {Shape{5, 15}}, recurrent, bias}, "a row for each feature");
  refuse({x, kernel, {Shape{5, 10}}, bias}, "the recurrent kernel must be");
  refuse({x, kernel, recurrent, {Shape{15}}}, "the bias must be f32 [2, gates * units]");
  refuse({x, kernel, recurrent, bias, {Shape{2, 3}}}, "the mask must be u8");
  refuse({x, kernel, recurrent, bias, none, {Shape{2, 4}}}, "an initial state must be");
  refuse({x, kernel, recurrent, bias, none, none, {Shape{2, 5}}}, "only an LSTM has c");
  refuse({x, kernel, recurrent, bias, none, none, none, {Shape{2, 2, 4}}}, "a dropout mask must be");
}

}  // namespace
}  // namespace gpunn::testing
