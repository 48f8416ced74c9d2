#include "src/ops/cross_entropy.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

OpCase loss(Operand probabilities, Operand labels, std::optional<Operand> weights = std::nullopt) {
  const auto classes = static_cast<double>(probabilities.spec.shape[-1]);
  return {.op = "cross_entropy",
          .inputs = {std::move(probabilities), std::move(labels), std::move(weights)},
          .terms = 4 * classes + 4,
          .wrt = {0},
          .loss = true};
}

// Not normalized: the op divides by the sum.
TEST(CrossEntropy, SparseAndDenseLabels) {
  check(loss(uniform({9, 10}, 0.1, 1), classes({9}, 10)));
  check(loss(uniform({9, 10}, 0.1, 1), uniform({9, 10}, 0, 1, 2), uniform({9}, 0.1, 2, 3)));
  check(loss(uniform({4, 3, 5}, 0.1, 1), classes({4, 3}, 5), uniform({4, 3}, 0.1, 2, 3)));
  check(loss(uniform({150, 3}, 0.1, 1), classes({150}, 3)));  // more rows than one chunk of a GPU has
}

TEST(CrossEntropy, ZeroAndOneAreClipped) {
  Check done;
  const ValueId p = done.input(given({2, 2}, {0, 1, 0, 1}));
  const ValueId pair = done.graph.emit("cross_entropy", {p, done.input(given({2}, {0, 1}, Dtype::i32))})[0];
  const ValueId dp = gradients(done.graph, {pair}, {p})[0];
  done.terms = 16;
  done.mostly_zero = true;
  done.run();
  EXPECT_NEAR(done.reference(pair)[0], -std::log(1e-7) + 1e-7, 1e-5);
  EXPECT_EQ(done.reference(dp), (std::vector<double>(4, 0.0)));
}

TEST(CrossEntropy, LabelOutOfRangeIsNaN) {
  OpCase wrong = loss(uniform({2, 3}, 0.1, 1), given({2}, {3, -1}, Dtype::i32));
  wrong.wrt = {};
  const Check done = check(wrong);
  EXPECT_TRUE(std::isnan(done.reference(done.graph.nodes()[0].outputs[0])[0]));
  check({.op = "cross_entropy_backward",
         .inputs = {uniform({2, 3}, 0.1, 1), given({2}, {3, 1}, Dtype::i32), std::nullopt, std::nullopt},
         .terms = 16});
}

TEST(CrossEntropy, WrongShapes) {
  expect_shape_error("cross_entropy", {}, {{Shape{5, 4}}, {Shape{4}, Dtype::i32}}, "one for each vector");
}

}  // namespace
}  // namespace gpunn::testing
