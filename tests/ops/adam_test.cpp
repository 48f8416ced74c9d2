#include "src/ops/adam.hpp"

#include <cmath>

#include "harness.hpp"
#include "segments_for_test.hpp"

namespace gpunn::testing {
namespace {

using ops::AdamAttrs;

Operand flat(double low, double high, int seed) {
  return constant(uniform({kFlatElements}, low, high, seed));
}

// Parameters, gradients, m and v after one update, from the reference; the CPU is compared on the way.
Check update(const AdamAttrs& attrs, cpu::StepState step, std::optional<double> norm = std::nullopt) {
  Check done;
  done.step = step;
  done.terms = 16;
  ValueIds inputs = {done.input(flat(-1, 1, 1)), done.input(flat(-1, 1, 2)), done.input(flat(-1, 1, 3)),
                     done.input(flat(0, 1, 4)), norm ? done.input(constant(given({1}, {*norm}))) : kNoValue};
  done.graph.emit("adam", inputs, attrs);
  done.run();
  return done;
}

TEST(Adam, FirstAndLaterSteps) {
  for (const std::int64_t step : {0, 1, 9, 60, 5000, 100000}) {
    SCOPED_TRACE(step);
    update({.segments = some_segments()}, {.step = step, .learning_rate = 0.1f, .gradient_scale = 0.5f});
  }
}

TEST(Adam, WeightDecayOfBothKinds) {
  for (const bool decoupled : {false, true}) {
    update({.segments = some_segments(),
            .beta1 = 0.8f,
            .beta2 = 0.95f,
            .epsilon = 1e-3f,
            .weight_decay = 0.3f,
            .decoupled = decoupled},
           {.step = 2, .learning_rate = 0.1f});
  }
}

TEST(Adam, ClipsByTheGlobalNorm) {
  for (const double norm : {0.0, 0.5, 1.0, 20.0}) {
    SCOPED_TRACE(norm);
    update({.segments = some_segments(), .clip_norm = 1}, {.step = 2, .learning_rate = 0.1f}, norm);
  }
  const Check broken =
      update({.segments = some_segments(), .clip_norm = 1}, {.learning_rate = 0.1f}, INFINITY);
  EXPECT_TRUE(std::isnan(broken.reference(0)[0]));
}

TEST(Adam, SkipsAStepThatIsNotFinite) {
  const auto w = flat(-1, 1, 1).values, m = flat(-1, 1, 3).values, v = flat(0, 1, 4).values;
  for (const float clip : {0.0f, 1.0f}) {
    const AdamAttrs attrs{
        .segments = some_segments(), .weight_decay = 0.1f, .clip_norm = clip, .skip_nonfinite = true};
    for (const double norm : {static_cast<double>(INFINITY), static_cast<double>(NAN)}) {
      const Check left = update(attrs, {.learning_rate = 0.1f}, norm);
      EXPECT_EQ(left.reference(0), w);
      EXPECT_EQ(left.reference(2), m);
      EXPECT_EQ(left.reference(3), v);
    }
    EXPECT_NE(update(attrs, {.learning_rate = 0.1f}, 20.0).reference(0), w);
  }
}

TEST(Adam, LeavesPaddingAndFrozenSegmentsAlone) {
  const Check done = update({.segments = some_segments()}, {.learning_rate = 0.1f});
  const Operand before = flat(-1, 1, 1);
  for (std::size_t i = 0; i < before.values.size(); ++i) {
    const bool updated = i < 33 || (i >= 48 && i < 53) || (i >= 96 && i < 96 + 2 * ops::kUpdateChunk + 1);
    EXPECT_EQ(done.reference(0)[i] != before.values[i], updated) << i;
  }
}

TEST(Adam, WrongShapes) {
  const Spec n{Shape{kFlatElements}};
  expect_shape_error("adam", AdamAttrs{}, {n, n, n, {Shape{4}}}, "must be f32 [n]");
  expect_shape_error("adam", AdamAttrs{.segments = {}, .clip_norm = 1}, {n, n, n, n}, "the norm f32 [1]");
  expect_shape_error("adam", AdamAttrs{.segments = {{.offset = kFlatElements - 1, .count = 2}}}, {n, n, n, n},
                     "inside the buffer");
  expect_shape_error("adam", AdamAttrs{.segments = {{.offset = 4, .count = 4}, {.offset = 7, .count = 1}}},
                     {n, n, n, n}, "apart");
}

}  // namespace
}  // namespace gpunn::testing
