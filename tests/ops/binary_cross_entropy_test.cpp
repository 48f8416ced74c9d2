#include "src/ops/binary_cross_entropy.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

OpCase loss(Operand probabilities, Operand labels, std::optional<Operand> weights = std::nullopt) {
  return {.op = "binary_cross_entropy",
          .inputs = {std::move(probabilities), std::move(labels), std::move(weights)},
          .terms = 16,
          .wrt = {0},
          .loss = true};
}

TEST(BinaryCrossEntropy, OneOutputAndMore) {
  check(loss(uniform({33, 1}, 0.05, 0.95), uniform({33}, 0, 1, 2), uniform({33}, 0.1, 2, 3)));
  check(loss(uniform({9, 7}, 0.05, 0.95), uniform({9, 7}, 0, 1, 2)));
}

TEST(BinaryCrossEntropy, ZeroAndOneAreClipped) {
  Check done;
  const ValueId p = done.input(given({4, 1}, {0, 1, 0, 1}));
  const ValueId pair = done.graph.emit("binary_cross_entropy", {p, done.input(given({4}, {0, 1, 1, 0}))})[0];
  const ValueId dp = gradients(done.graph, {pair}, {p})[0];
  done.mostly_zero = true;
  done.terms = 1e9;  // in float 1 - 1e-7 is 1 - 2^-23, and the logarithm of what is left is 1 % off
  done.run();
  EXPECT_NEAR(done.reference(pair)[0], -2 * std::log(1e-7), 1e-3);
  EXPECT_EQ(done.reference(dp), (std::vector<double>(4, 0.0)));
}

TEST(BinaryCrossEntropy, WrongShapes) {
  expect_shape_error("binary_cross_entropy", {}, {{Shape{5, 4}}, {Shape{5}}}, "of the predictions' shape");
}

}  // namespace
}  // namespace gpunn::testing
