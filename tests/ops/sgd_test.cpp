#include "src/ops/sgd.hpp"

#include <cmath>

#include "harness.hpp"
#include "segments_for_test.hpp"

namespace gpunn::testing {
namespace {

using ops::SgdAttrs;

Check update(const SgdAttrs& attrs, std::optional<double> norm = std::nullopt) {
  Check done;
  done.step = {.learning_rate = 0.1f, .gradient_scale = 0.5f};
  done.terms = 8;
  const auto flat = [](int seed) { return constant(uniform({kFlatElements}, -1, 1, seed)); };
  done.graph.emit(
      "sgd",
      {done.input(flat(1)), done.input(flat(2)), attrs.momentum != 0 ? done.input(flat(3)) : kNoValue,
       norm ? done.input(constant(given({1}, {*norm}))) : kNoValue},
      attrs);
  done.run();
  return done;
}

TEST(Sgd, PlainMomentumNesterov) {
  update({.segments = some_segments()});
  update({.segments = some_segments(), .weight_decay = 0.2f});
  for (const bool nesterov : {false, true}) {
    update({.segments = some_segments(), .momentum = 0.9f, .nesterov = nesterov, .weight_decay = 0.2f});
  }
}

TEST(Sgd, ClipsByTheGlobalNorm) {
  update({.segments = some_segments(), .clip_norm = 0.5f}, 0.25);
  update({.segments = some_segments(), .momentum = 0.9f, .clip_norm = 0.5f}, 10.0);
}

TEST(Sgd, SkipsAStepThatIsNotFinite) {
  for (const float momentum : {0.0f, 0.9f}) {
    const SgdAttrs attrs{
        .segments = some_segments(), .momentum = momentum, .weight_decay = 0.1f, .skip_nonfinite = true};
    EXPECT_EQ(update(attrs, NAN).reference(0), constant(uniform({kFlatElements}, -1, 1, 1)).values);
    EXPECT_NE(update(attrs, 10.0).reference(0), constant(uniform({kFlatElements}, -1, 1, 1)).values);
  }
}

TEST(Sgd, WrongShapes) {
  const Spec n{Shape{8}};
  expect_shape_error("sgd", SgdAttrs{}, {n, {Shape{4}}}, "must be f32 [n]");
  expect_shape_error("sgd", SgdAttrs{.segments = {}, .momentum = 0.9f}, {n, n}, "momentum needs a velocity");
  expect_shape_error("sgd", SgdAttrs{.segments = {}, .clip_norm = 1}, {n, n, n}, "the norm f32 [1]");
  expect_shape_error("sgd", SgdAttrs{.segments = {}, .skip_nonfinite = true}, {n, n, n}, "the norm f32 [1]");
}

}  // namespace
}  // namespace gpunn::testing
