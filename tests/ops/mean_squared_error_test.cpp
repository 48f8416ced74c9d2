#include "src/ops/mean_squared_error.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

TEST(MeanSquaredError, WithAndWithoutWeights) {
  for (const std::int64_t n : {1, 7, 33}) {
    for (const bool weighted : {false, true}) {
      check({.op = "mean_squared_error",
             .inputs = {uniform({9, n}), uniform({9, n}, -1, 1, 2),
                        weighted ? std::optional(uniform({9}, 0.1, 2, 3)) : std::nullopt},
             .terms = static_cast<double>(n) + 4,
             .wrt = {0},
             .loss = true});
    }
  }
  check({.op = "mean_squared_error",
         .inputs = {uniform({4, 3, 5}), uniform({4, 3, 5}, -1, 1, 2), uniform({4, 3}, 0.1, 2, 3)},
         .terms = 8,
         .wrt = {0},
         .loss = true});
}

TEST(MeanSquaredError, NaNAndInfinityStay) {
  check({.op = "mean_squared_error", .inputs = {given({1, 2}, {NAN, 1}), given({1, 2}, {0, 0})}});
  check({.op = "mean_squared_error", .inputs = {given({1, 2}, {INFINITY, 1}), given({1, 2}, {0, 0})}});
}

TEST(MeanSquaredError, WrongShapes) {
  expect_shape_error("mean_squared_error", {}, {{Shape{5, 4}}, {Shape{4, 5}}}, "of the predictions' shape");
}

}  // namespace
}  // namespace gpunn::testing
