#include "src/ops/dropout.hpp"

#include <algorithm>
#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::DropoutAttrs;

// Rows of odd lengths, so that slices begin inside a block of four random words.
TEST(Dropout, SameElementsInEverySlicing) {
  for (const std::int64_t n : {1, 3, 16, 37}) {
    for (const float rate : {0.0f, 0.25f, 0.9f}) {
      SCOPED_TRACE(std::to_string(n) + " at " + std::to_string(rate));
      check({.op = "dropout",
             .attrs = DropoutAttrs{rate, 5},
             .inputs = {uniform({9, n}, 0.5, 1)},
             .terms = 4,
             .wrt = {0},
             .mostly_zero = true});
    }
  }
}

std::vector<double> dropped(DropoutAttrs attrs, cpu::StepState step) {
  Check done;
  done.step = step;
  done.mostly_zero = true;
  const ValueId y =
      done.graph.emit1("dropout", {done.input(given({100, 100}, std::vector<double>(10000, 1)))}, attrs);
  done.run();
  return done.reference(y);
}

TEST(Dropout, KeepsItsShareAndTheMean) {
  const std::vector<double> y = dropped({0.3f, 1}, {.seed = 1});
  const auto zeros = std::count(y.begin(), y.end(), 0.0);
  EXPECT_NEAR(static_cast<double>(zeros) / 10000, 0.3, 4 * std::sqrt(0.3 * 0.7 / 10000));  // four deviations
  EXPECT_NEAR(*std::max_element(y.begin(), y.end()), 1 / 0.7, 1e-6);
}

TEST(Dropout, AnotherSeedStreamOrStepDropsOthers) {
  const auto y = dropped({0.5f, 1}, {.seed = 1, .step = 1});
  EXPECT_EQ(y, dropped({0.5f, 1}, {.seed = 1, .step = 1}));
  EXPECT_NE(y, dropped({0.5f, 1}, {.seed = 2, .step = 1}));
  EXPECT_NE(y, dropped({0.5f, 2}, {.seed = 1, .step = 1}));
  EXPECT_NE(y, dropped({0.5f, 1}, {.seed = 1, .step = 2}));
}

TEST(DropoutMask, IsDropoutOfOnes) {
  for (const Shape& row : {Shape{1, 5}, Shape{3, 37}}) {
    check({.op = "dropout_mask",
           .attrs = ops::DropoutMaskAttrs{{0.3f, 5}, row},
           .inputs = {uniform({9, 2})},
           .terms = 4,
           .mostly_zero = true});
  }
  Check mask, ones;
  mask.mostly_zero = ones.mostly_zero = true;
  const ValueId m = mask.graph.emit1("dropout_mask", {mask.input(uniform({9, 2}))},
                                     ops::DropoutMaskAttrs{{0.3f, 5}, Shape{4}});
  const ValueId y = ones.graph.emit1("dropout", {ones.input(given({9, 4}, std::vector<double>(36, 1)))},
                                     DropoutAttrs{0.3f, 5});
  mask.run();
  ones.run();
  EXPECT_EQ(mask.reference(m), ones.reference(y));
  expect_shape_error("dropout_mask", ops::DropoutMaskAttrs{{1.0f, 5}, Shape{4}}, {{Shape{2, 3}}},
                     "rate must be at least 0 and below 1");
}

TEST(Dropout, WrongShapesAndRates) {
  expect_shape_error("dropout", DropoutAttrs{1.0f}, {{Shape{2, 3}}}, "rate must be at least 0 and below 1");
  expect_shape_error("dropout", DropoutAttrs{-0.1f}, {{Shape{2, 3}}}, "rate must be");
  expect_shape_error("dropout", DropoutAttrs{NAN}, {{Shape{2, 3}}}, "rate must be");
  expect_shape_error("dropout", DropoutAttrs{}, {{Shape{2, 3}, Dtype::u8}}, "f32");
}

}  // namespace
}  // namespace gpunn::testing
