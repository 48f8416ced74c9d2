#include "src/ops/batch_norm.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::BatchNormAttrs;

// The nodes that a layer emits in training; gradients by x, gamma and beta.
void train(const Shape& shape, bool gamma, bool beta) {
  SCOPED_TRACE(to_string(shape) + (gamma ? " gamma" : "") + (beta ? " beta" : ""));
  Check done;
  Graph& graph = done.graph;
  Operand far = uniform(shape, 1, 4);  // the mean is not near 0
  const ValueId x = done.input(far);
  const auto parameter = [&](bool wanted, int seed) {
    return wanted ? done.input(constant(uniform({shape[-1]}, 0.5, 2, seed))) : kNoValue;
  };
  const ValueId g = parameter(gamma, 2), b = parameter(beta, 3);
  const ValueId mean = graph.emit1("batch_norm_mean", {x});
  const ValueId variance = graph.emit1("batch_norm_variance", {x, mean});
  const ValueId y = graph.emit1("batch_norm", {x, mean, variance, g, b}, BatchNormAttrs{.epsilon = 1e-2f});
  ValueIds wrt = {x};
  if (gamma) wrt.push_back(g);
  if (beta) wrt.push_back(b);
  done.terms = 4.0 * static_cast<double>(shape.elements());
  done.run(done.add_loss(y), wrt);
}

TEST(BatchNorm, TrainingNormalizesWithItsOwnStatistics) {
  train({9, 5}, true, true);
  train({9, 5}, false, true);
  train({9, 5}, true, false);
  train({9, 5}, false, false);
  train({4, 3, 5, 17}, true, true);
}

// Statistics of the steps that a mask leaves; every step is normalized, and dy comes from all of them.
void train_masked(const Shape& shape, const std::vector<double>& mask) {
  SCOPED_TRACE(to_string(shape));
  Check done;
  Graph& graph = done.graph;
  const ValueId x = done.input(uniform(shape, 1, 4));
  const ValueId g = done.input(constant(uniform({shape[-1]}, 0.5, 2, 2)));
  const ValueId b = done.input(constant(uniform({shape[-1]}, -1, 1, 3)));
  const ValueId m = done.input(given({shape[0], shape[1]}, mask, Dtype::u8));
  const ValueId count = graph.emit1("mask_count", {m});
  const ValueId mean = graph.emit1("batch_norm_mean", {x, m, count});
  const ValueId variance = graph.emit1("batch_norm_variance", {x, mean, m, count});
  const ValueId y = graph.emit1("batch_norm", {x, mean, variance, g, b}, BatchNormAttrs{.epsilon = 1e-2f});
  done.terms = 4.0 * static_cast<double>(shape.elements());
  done.run(done.add_loss(y), {x, g, b});
}

TEST(BatchNorm, LeavesMaskedStepsOutOfItsStatistics) {
  train_masked({3, 4, 5}, {1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0});
  train_masked({3, 4, 5}, std::vector<double>(12, 1));
  train_masked({2, 3, 2, 4, 3}, {1, 0, 1, 0, 1, 1});  // eight vectors a step
}

TEST(BatchNorm, OfPaddingAloneHasNoStatistics) {
  Check done;
  const ValueId x = done.input(uniform({2, 3, 4}, 1, 2)),
                m = done.input(given({2, 3}, {0, 0, 0, 0, 0, 0}, Dtype::u8));
  const ValueId count = done.graph.emit1("mask_count", {m});
  const ValueId mean = done.graph.emit1("batch_norm_mean", {x, m, count});
  const ValueId variance = done.graph.emit1("batch_norm_variance", {x, mean, m, count});
  done.mostly_zero = true;
  done.run();
  EXPECT_EQ(done.reference(mean), std::vector<double>(4, 0));
  EXPECT_EQ(done.reference(variance), std::vector<double>(4, 0));
}

// What padding holds is nobody's affair: NaN there does not reach the statistics.
TEST(BatchNorm, PaddingMayHoldAnything) {
  Check done;
  const ValueId x = done.input(given({1, 3, 1}, {1, std::nan(""), 3})),
                m = done.input(given({1, 3}, {1, 0, 1}, Dtype::u8));
  const ValueId count = done.graph.emit1("mask_count", {m});
  const ValueId mean = done.graph.emit1("batch_norm_mean", {x, m, count});
  const ValueId variance = done.graph.emit1("batch_norm_variance", {x, mean, m, count});
  done.terms = 4;
  done.run();
  EXPECT_NEAR(done.reference(mean)[0], 2, 1e-6);
  EXPECT_NEAR(done.reference(variance)[0], 1, 1e-6);
}

TEST(BatchNorm, OfOneRowIsBeta) {
  Check done;
  const ValueId x = done.input(uniform({1, 3}));
  const ValueId mean = done.graph.emit1("batch_norm_mean", {x});
  const ValueId variance = done.graph.emit1("batch_norm_variance", {x, mean});
  const ValueId beta = done.input(constant(uniform({3}, 1, 2, 2)));
  const ValueId y = done.graph.emit1("batch_norm", {x, mean, variance, kNoValue, beta}, BatchNormAttrs{});
  done.mostly_zero = true;
  done.terms = 4;
  done.run();
  EXPECT_EQ(done.reference(variance), (std::vector<double>(3, 0)));
  EXPECT_NEAR(done.reference(y)[0], static_cast<double>(uniform({3}, 1, 2, 2).values[0]), 1e-6);
}

// With moving statistics x's share is that of a scale: nothing flows through mean and variance.
TEST(BatchNorm, InferenceTakesStatisticsAsConstants) {
  Check done;
  const ValueId x = done.input(uniform({9, 5})), mean = done.input(constant(uniform({5}, -1, 1, 2))),
                variance = done.input(constant(uniform({5}, 0.5, 2, 3))),
                gamma = done.input(constant(uniform({5}, 0.5, 2, 4))),
                beta = done.input(constant(uniform({5}, -1, 1, 5)));
  const ValueId y = done.graph.emit1("batch_norm", {x, mean, variance, gamma, beta}, BatchNormAttrs{});
  done.terms = 64;
  done.run(done.add_loss(y), {x, gamma, beta});
}

TEST(BatchNorm, UpdateMovesTheStatistics) {
  Check done;
  const ValueId moving_mean = done.input(constant(uniform({17}, -1, 1, 1))),
                moving_variance = done.input(constant(uniform({17}, 0, 1, 2)));
  done.graph.emit("batch_norm_update",
                  {moving_mean, moving_variance, done.input(constant(uniform({17}, -1, 1, 3))),
                   done.input(constant(uniform({17}, 0, 1, 4)))},
                  ops::BatchNormUpdateAttrs{.momentum = 0.75f});
  done.terms = 4;
  done.run();
  EXPECT_NEAR(done.reference(moving_mean)[5],
              0.75 * uniform({17}, -1, 1, 1).values[5] + 0.25 * uniform({17}, -1, 1, 3).values[5], 1e-12);
}

// The textbook's E[x^2] - E[x]^2 would lose every digit.
TEST(BatchNorm, VarianceOfLargeNumbersIsExact) {
  Check done;
  Operand x = uniform({8, 2}, 0, 1);
  for (double& v : x.values) v = std::round(v * 16) + 1e6;
  const ValueId input = done.input(x);
  const ValueId mean = done.graph.emit1("batch_norm_mean", {input});
  done.graph.emit("batch_norm_variance", {input, mean});
  done.terms = 64;
  done.run();
}

TEST(BatchNorm, WrongShapes) {
  const Spec x{Shape{2, 3}}, c{Shape{3}}, wrong{Shape{2}};
  expect_shape_error("batch_norm_mean", {}, {{Shape{3}}}, "[batch, ..., channels]");
  expect_shape_error("batch_norm_variance", {}, {x, wrong}, "must be f32 [channels]");
  expect_shape_error("batch_norm", BatchNormAttrs{}, {x, c, c, wrong}, "must be f32 [channels]");
  expect_shape_error("batch_norm", BatchNormAttrs{}, {x, c}, "takes x, mean, variance");
  expect_shape_error("batch_norm_backward_sums", BatchNormAttrs{}, {x, {Shape{3, 2}}, c, c}, "dy alike");
  const Spec steps{Shape{2, 4, 3}}, mask{Shape{2, 4}, Dtype::u8}, count{Shape{1}};
  expect_shape_error("batch_norm_mean", {}, {steps, mask}, "a mask and its count come together");
  expect_shape_error("batch_norm_mean", {}, {steps, {Shape{2, 3}, Dtype::u8}, count}, "the mask must be u8");
  expect_shape_error("batch_norm_mean", {}, {x, {Shape{2, 3}, Dtype::u8}, count}, "the mask must be u8");
  expect_shape_error("batch_norm_variance", {}, {steps, c, mask, c}, "the mask must be u8");
  expect_shape_error("batch_norm_backward", BatchNormAttrs{}, {steps, steps, c, c, c, c, c, mask, mask},
                     "its count f32 [1]");
  expect_shape_error("batch_norm_update", ops::BatchNormUpdateAttrs{}, {c, c, c, wrong}, "[channels]");
}

}  // namespace
}  // namespace gpunn::testing
