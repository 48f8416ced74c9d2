#include "src/ops/global_pool2d.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::GlobalPool2dAttrs;

TEST(GlobalPool2d, MaximumAndAverage) {
  for (const char* op : {"global_max_pool2d", "global_average_pool2d"}) {
    for (const bool keepdims : {false, true}) {
      for (const std::int64_t channels : {1, 3, 17}) {
        check({.op = op,
               .attrs = GlobalPool2dAttrs{keepdims},
               .inputs = {distinct({9, 3, 5, channels})},
               .terms = 15,
               .wrt = {0},
               .mostly_zero = true});  // one winner of fifteen
      }
    }
  }
}

TEST(GlobalPool2d, NaNWins) {
  Check done;
  const ValueIds made =
      done.graph.emit("global_max_pool2d", {done.input(given({1, 2, 2, 2}, {1, 9, NAN, 9, 3, 8, NAN, -9}))},
                      GlobalPool2dAttrs{});
  done.run();
  EXPECT_TRUE(std::isnan(done.reference(made[0])[0]));
  EXPECT_EQ(done.reference(made[1]), (std::vector<double>{1, 0}));
}

TEST(GlobalPool2d, WrongShapes) {
  for (const char* op : {"global_max_pool2d", "global_average_pool2d"}) {
    expect_shape_error(op, GlobalPool2dAttrs{}, {{Shape{2, 5, 5}}}, "[batch, height, width, channels]");
    expect_shape_error(op, GlobalPool2dAttrs{}, {{Shape{2, 0, 5, 3}}}, "at least one element");
  }
}

}  // namespace
}  // namespace gpunn::testing
