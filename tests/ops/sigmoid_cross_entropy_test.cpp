#include "src/ops/sigmoid_cross_entropy.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

OpCase loss(Operand logits, Operand labels, std::optional<Operand> weights = std::nullopt) {
  return {.op = "sigmoid_cross_entropy",
          .inputs = {std::move(logits), std::move(labels), std::move(weights)},
          .terms = 8,
          .wrt = {0},
          .loss = true};
}

TEST(SigmoidCrossEntropy, OneOutputAndMore) {
  check(loss(uniform({33, 1}, -4, 4), uniform({33}, 0, 1, 2)));
  check(loss(uniform({33, 1}, -4, 4), uniform({33, 1}, 0, 1, 2), uniform({33}, 0.1, 2, 3)));
  check(loss(uniform({9, 7}, -4, 4), uniform({9, 7}, 0, 1, 2)));
  check(loss(uniform({4, 3, 5}, -4, 4), uniform({4, 3, 5}, 0, 1, 2), uniform({4, 3}, 0.1, 2, 3)));
}

TEST(SigmoidCrossEntropy, HugeLogitsAreStable) {
  for (const double x : {100.0, -100.0, 1e30, -1e30}) {
    for (const double label : {0.0, 1.0}) {
      OpCase huge = loss(given({1, 1}, {x}), given({1, 1}, {label}));
      huge.wrt = {};
      check(huge);
    }
  }
}

TEST(SigmoidCrossEntropy, NaNStays) {
  OpCase nan = loss(given({2, 1}, {NAN, 1}), given({2, 1}, {0, 1}));
  nan.wrt = {};
  check(nan);
}

TEST(SigmoidCrossEntropy, WrongShapes) {
  expect_shape_error("sigmoid_cross_entropy", {}, {{Shape{5, 4}}, {Shape{5}}}, "of the predictions' shape");
  expect_shape_error("sigmoid_cross_entropy", {}, {{Shape{5, 1}}, {Shape{5}, Dtype::i32}},
                     "labels must be f32");
}

}  // namespace
}  // namespace gpunn::testing
