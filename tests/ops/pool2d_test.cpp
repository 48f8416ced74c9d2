#include "src/ops/pool2d.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::Padding2d;
using ops::Pool2dAttrs;
using ops::Size2d;

const std::vector<Pool2dAttrs> kPools = {
    {},                                     // 2x2
    {.window = {3, 3}, .strides = {2, 2}},  // overlapping
    {.window = {2, 3}, .strides = {1, 2}},  //
    {.window = {2, 2}, .strides = {3, 3}},  // with gaps
    {.window = {3, 2}, .strides = {1, 1}, .padding = {.top = 1, .bottom = 1, .left = 0, .right = 1}},  // same
    {.window = {3, 3}, .strides = {2, 2}, .padding = {.top = 0, .bottom = 1, .left = 2, .right = 0}},
};

OpCase pool(const std::string& op, const Operand& x, const Pool2dAttrs& attrs) {
  // Most elements win nothing.
  return {
      .op = op, .attrs = attrs, .inputs = {x}, .terms = 16, .wrt = {0}, .mostly_zero = op == "max_pool2d"};
}

TEST(Pool2d, MaximumAndAverageOfEveryWindow) {
  for (const Pool2dAttrs& attrs : kPools) {
    for (const std::int64_t channels : {1, 3, 17}) {
      SCOPED_TRACE(std::to_string(attrs.window.height) + "x" + std::to_string(attrs.window.width) + " of " +
                   std::to_string(channels) + " channels");
      const Operand x = distinct({4, 7, 6, channels});
      check(pool("max_pool2d", x, attrs));
      check(pool("average_pool2d", x, attrs));
    }
  }
}

TEST(Pool2d, AverageLeavesPaddingOut) {
  Check done;
  const ValueId y = done.graph.emit1(
      "average_pool2d", {done.input(given({1, 2, 2, 1}, {1, 2, 3, 4}))},
      Pool2dAttrs{
          .window = {2, 2}, .strides = {2, 2}, .padding = {.top = 1, .bottom = 1, .left = 0, .right = 0}});
  done.run();
  EXPECT_EQ(done.reference(y), (std::vector<double>{1.5, 3.5}));
}

TEST(Pool2d, NaNWinsAndTheFirstOfEqualOnes) {
  Check done;
  const ValueIds made =
      done.graph.emit("max_pool2d",
                      {done.input(given({4, 2, 2, 1}, {1, NAN, 5, NAN, 3, 3, 3, 3, -INFINITY, -INFINITY,
                                                       -INFINITY, -INFINITY,  //
                                                       0, 1, INFINITY, 2}))},
                      Pool2dAttrs{});
  done.run();
  EXPECT_TRUE(std::isnan(done.reference(made[0])[0]));
  EXPECT_EQ(done.reference(made[1]), (std::vector<double>{1, 0, 0, 2}));
}

TEST(Pool2d, EmptyBatch) {
  OpCase empty = pool("max_pool2d", uniform({0, 4, 4, 3}), {});
  empty.wrt = {};
  check(empty);
}

TEST(Pool2d, WrongShapes) {
  const Spec x{Shape{2, 5, 5, 3}};
  for (const char* op : {"max_pool2d", "average_pool2d"}) {
    expect_shape_error(op, Pool2dAttrs{}, {{Shape{2, 5, 5}}}, "[batch, height, width, channels]");
    expect_shape_error(op, Pool2dAttrs{.window = {6, 2}, .strides = {1, 1}}, {x}, "the window does not fit");
    expect_shape_error(op, Pool2dAttrs{.padding = {.top = 2}}, {x}, "a window could see only padding");
    expect_shape_error(op, Pool2dAttrs{.strides = {2, 0}}, {x}, "must be at least 1");
  }
  expect_shape_error("max_pool2d_backward", ops::Pool2dBackwardAttrs{.pool = {}, .input = {5, 5}},
                     {{Shape{2, 2, 2, 3}}, {Shape{2, 2, 2, 3}}}, "argmax i32 alike");
  expect_shape_error("average_pool2d_backward", ops::Pool2dBackwardAttrs{.pool = {}, .input = {5, 5}},
                     {{Shape{2, 3, 2, 3}}}, "dy is not of the shape");
}

}  // namespace
}  // namespace gpunn::testing
