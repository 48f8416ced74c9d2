#include "src/ops/softmax_cross_entropy.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

OpCase loss(Operand logits, Operand labels, std::optional<Operand> weights = std::nullopt) {
  const auto classes = static_cast<double>(logits.spec.shape[-1]);
  return {.op = "softmax_cross_entropy",
          .inputs = {std::move(logits), std::move(labels), std::move(weights)},
          .terms = classes + 4,
          .wrt = {0},
          .loss = true};
}

TEST(SoftmaxCrossEntropy, SparseAndDenseLabels) {
  for (const std::int64_t n : {2, 10, 17}) {
    SCOPED_TRACE(n);
    check(loss(uniform({9, n}, -4, 4), classes({9}, n)));
    check(loss(uniform({9, n}, -4, 4), classes({9, 1}, n), uniform({9}, 0.1, 2, 3)));
    check(loss(uniform({9, n}, -4, 4), uniform({9, n}, 0, 1, 2), uniform({9}, 0.1, 2, 3)));
  }
}

TEST(SoftmaxCrossEntropy, MoreAxesWithBothFormsOfWeights) {
  OpCase of_samples = loss(uniform({4, 3, 5}, -2, 2), classes({4, 3}, 5), uniform({4}, 0.1, 2, 3));
  of_samples.refused = "weights on cuda must be one for each vector";  // loss_weights spreads them first
  check(of_samples);
  check(loss(uniform({4, 3, 5}, -2, 2), classes({4, 3}, 5), uniform({4, 3}, 0.1, 2, 3)));
}

TEST(SoftmaxCrossEntropy, LossPairIsSumAndRows) {
  Check done;
  const ValueId pair = done.graph.emit(
      "softmax_cross_entropy", {done.input(given({2, 2}, {0, 0, 0, 0})), done.input(classes({2}, 2))})[0];
  done.terms = 8;
  done.run();
  EXPECT_NEAR(done.reference(pair)[0], 2 * std::log(2), 1e-12);
  EXPECT_EQ(done.reference(pair)[1], 2);
}

TEST(SoftmaxCrossEntropy, HugeLogitsAreStable) {
  check(loss(given({2, 3}, {1e4, 0, -1e4, -1e4, 0, 50}), classes({2}, 3)));
  OpCase infinite = loss(given({1, 3}, {0, -INFINITY, 1}), given({1, 3}, {0.5, 0, 0.5}));
  infinite.wrt = {};
  check(infinite);  // the label of the impossible class is 0: the loss is finite
}

TEST(SoftmaxCrossEntropy, LabelOutOfRangeIsNaNAndReadsNothing) {
  for (const double label : {-1.0, 3.0, 1e9, -2147483648.0}) {
    Check done;
    const ValueId logits = done.input(uniform({3, 3}));
    const ValueId labels = done.input(given({3}, {0, label, 2}, Dtype::i32));
    const ValueIds made = done.graph.emit("softmax_cross_entropy", {logits, labels});
    const ValueId dx = gradients(done.graph, {made[0]}, {logits})[0];
    done.terms = 8;
    done.run();
    EXPECT_TRUE(std::isnan(done.reference(made[0])[0]));
    EXPECT_EQ(done.reference(made[0])[1], 3);
    for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(std::isnan(done.reference(dx)[i]), i / 3 == 1);
  }
}

TEST(SoftmaxCrossEntropy, GradientFromAboveMultiplies) {
  check({.op = "softmax_cross_entropy_backward",
         .inputs = {uniform({5, 4}, 0, 1), classes({5}, 4), uniform({5}, 0.1, 2, 3),
                    constant(given({2}, {2.5, 7}))},
         .terms = 4});
}

TEST(SoftmaxCrossEntropy, EmptyBatch) {
  OpCase empty = loss(uniform({0, 4}), classes({0}, 4));
  empty.wrt = {};
  check(empty);
}

TEST(SoftmaxCrossEntropy, WrongShapes) {
  const std::string op = "softmax_cross_entropy";
  const Spec logits{Shape{5, 4}}, labels{Shape{5}, Dtype::i32};
  expect_shape_error(op, {}, {logits, {Shape{4}, Dtype::i32}}, "one for each vector of classes");
  expect_shape_error(op, {}, {logits, {Shape{5, 4}, Dtype::i32}}, "one for each vector of classes");
  expect_shape_error(op, {}, {logits, {Shape{5}}}, "labels must be f32 of the predictions' shape");
  expect_shape_error(op, {}, {{Shape{5}}, labels}, "[batch, ..., classes]");
  expect_shape_error(op, {}, {{Shape{5, 0}}, labels}, "at least one class");
  expect_shape_error(op, {}, {logits, labels, {Shape{4}}}, "weights must be f32");
  expect_shape_error(op + "_backward", {}, {logits, labels, {Shape{5}}, {Shape{3}}}, "dloss must be f32 [2]");
}

}  // namespace
}  // namespace gpunn::testing
