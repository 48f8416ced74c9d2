#include "src/ops/conv2d_pool.hpp"

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::Activation;
using ops::Conv2dPoolAttrs;

OpCase conv_pool(Shape x, Shape w, Conv2dPoolAttrs attrs = {.activation = Activation::relu}) {
  const std::int64_t filters = w[3];
  return {
      .op = "conv2d_pool",
      .attrs = attrs,
      .inputs = {uniform(x), constant(uniform(w, -1, 1, 2)), constant(uniform({filters}, -1, 1, 3))},
      .terms = static_cast<double>(std::max({w[0] * w[1] * w[2], w[0] * w[1] * w[3], x[0] * x[1] * x[2]})),
      .wrt = {0, 1, 2}};
}

TEST(Conv2dPool, ShapesWithAndWithoutWinograd) {
  const std::pair<Shape, Shape> cases[] = {
      {{5, 8, 9, 1}, {3, 3, 1, 8}},     // one channel, an odd column left out
      {{3, 7, 6, 16}, {3, 3, 16, 32}},  // whole vectors
      {{2, 6, 6, 12}, {3, 3, 12, 5}},   // odd filters
      {{2, 8, 8, 3}, {5, 5, 3, 6}},     // three channels, a larger kernel
      {{9, 4, 4, 2}, {1, 1, 2, 3}},     // a dense layer for each pixel
      {{1, 3, 3, 2}, {2, 2, 2, 2}},     // one window
  };
  for (const auto& [x, w] : cases) {
    SCOPED_TRACE(to_string(x) + " with " + to_string(w));
    check(conv_pool(x, w));
    check(conv_pool(x, w, {}));
  }
}

TEST(Conv2dPool, PaddingAndNoBias) {
  check(conv_pool({3, 6, 5, 4}, {3, 3, 4, 8}, {.padding = {1, 1, 1, 1}, .activation = Activation::relu}));
  OpCase no_bias = conv_pool({3, 6, 6, 4}, {3, 3, 4, 8});
  no_bias.inputs[2] = std::nullopt;
  no_bias.wrt = {0, 1};
  check(no_bias);
}

TEST(Conv2dPool, WrongShapes) {
  const Spec x{Shape{2, 5, 5, 3}}, w{Shape{3, 3, 3, 4}};
  expect_shape_error("conv2d_pool", Conv2dPoolAttrs{}, {x, {Shape{3, 3, 2, 4}}}, "the channels of W");
  expect_shape_error("conv2d_pool", Conv2dPoolAttrs{}, {{Shape{2, 3, 3, 3}}, w},
                     "smaller than a pool window");
  expect_shape_error("conv2d_pool", Conv2dPoolAttrs{.activation = Activation::tanh}, {x, w},
                     "relu or nothing");
}

}  // namespace
}  // namespace gpunn::testing
