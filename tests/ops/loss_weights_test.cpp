#include "src/ops/loss_weights.hpp"

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::LossWeightsAttrs;

Operand mask(std::int64_t batch, std::int64_t steps) {
  Operand made = classes({batch, steps}, 2);
  made.spec.dtype = Dtype::u8;
  return made;
}

TEST(MaskCount, RealSteps) {
  for (const std::int64_t batch : {1, 9, 33}) check({.op = "mask_count", .inputs = {mask(batch, 7)}});
  check({.op = "mask_count", .inputs = {given({2, 3}, {0, 0, 0, 0, 0, 0}, Dtype::u8)}, .mostly_zero = true});
}

TEST(LossWeights, OfSamplesStepsAndMasks) {
  const Operand count = constant(given({1}, {30}));
  for (const std::int64_t vectors : {7, 21}) {
    const LossWeightsAttrs attrs{vectors};
    for (const Operand& weights : {uniform({9}, 0, 2), uniform({9, vectors}, 0, 2)}) {
      check({.op = "loss_weights", .attrs = attrs, .inputs = {weights}});
      check({.op = "loss_weights", .attrs = attrs, .inputs = {weights, mask(9, 7)}, .mostly_zero = true});
      check({.op = "loss_weights",
             .attrs = attrs,
             .inputs = {weights, mask(9, 7), count},
             .mostly_zero = true});
    }
    check({.op = "loss_weights", .attrs = attrs, .inputs = {std::nullopt, mask(9, 7)}, .mostly_zero = true});
    check({.op = "loss_weights",
           .attrs = attrs,
           .inputs = {std::nullopt, mask(9, 7), count},
           .mostly_zero = true});
  }
}

TEST(LossWeights, OfNothingButPaddingAreZero) {
  const Operand padding = given({2, 3}, {0, 0, 0, 0, 0, 0}, Dtype::u8);
  Check done = check({.op = "loss_weights",
                      .attrs = LossWeightsAttrs{3},
                      .inputs = {std::nullopt, padding, constant(given({1}, {0}))},
                      .mostly_zero = true});
  for (const double w : done.reference(done.graph.nodes()[0].outputs[0])) EXPECT_EQ(w, 0);
}

TEST(LossWeights, WrongShapes) {
  const Spec mask{Shape{4, 3}, Dtype::u8}, absent{Shape{0}};
  expect_shape_error("mask_count", {}, {{Shape{4, 3}}}, "takes a mask u8");
  expect_shape_error("loss_weights", LossWeightsAttrs{3}, {absent}, "weights, a mask, or both");
  expect_shape_error("loss_weights", LossWeightsAttrs{3}, {{Shape{4, 2}}}, "one for each sample");
  expect_shape_error("loss_weights", LossWeightsAttrs{4}, {absent, mask}, "with predictions for every step");
  expect_shape_error("loss_weights", LossWeightsAttrs{3}, {{Shape{5}}, mask}, "the mask must be u8");
  expect_shape_error("loss_weights", LossWeightsAttrs{3}, {absent, mask, {Shape{2}}}, "must be f32 [1]");
  expect_shape_error("loss_weights", LossWeightsAttrs{3}, {{Shape{4}}, absent, {Shape{1}}},
                     "must be f32 [1]");
}

}  // namespace
}  // namespace gpunn::testing
