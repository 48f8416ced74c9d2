#include "src/ops/conv2d.hpp"

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::Activation;
using ops::Conv2dAttrs;

OpCase conv(Shape x, Shape w, Conv2dAttrs attrs = {}) {
  const std::int64_t filters = w[3];
  return {
      .op = "conv2d",
      .attrs = attrs,
      .inputs = {uniform(x), constant(uniform(w, -1, 1, 2)), constant(uniform({filters}, -1, 1, 3))},
      .terms = static_cast<double>(std::max({w[0] * w[1] * w[2], w[0] * w[1] * w[3], x[0] * x[1] * x[2]})),
      .wrt = {0, 1, 2}};
}

Conv2dAttrs same(Shape x, Shape w, ops::Size2d strides = {}, ops::Size2d dilation = {}) {
  return {.strides = strides,
          .padding = ops::same_padding({x[1], x[2]}, {w[0], w[1]}, strides, dilation),
          .dilation = dilation};
}

TEST(Conv2d, OwnKernelsAtStrideOne) {
  const std::pair<Shape, Shape> cases[] = {
      {{5, 7, 6, 1}, {3, 3, 1, 8}},     // one channel, as the first layer of digits
      {{9, 5, 5, 3}, {3, 3, 3, 5}},     // odd channels
      {{3, 6, 7, 16}, {3, 3, 16, 32}},  // whole vectors
      {{2, 5, 5, 2}, {5, 5, 2, 3}},     // the kernel is the image
      {{4, 3, 4, 6}, {1, 1, 6, 7}},     // a dense layer for each pixel
      {{2, 4, 6, 2}, {4, 2, 2, 3}},
  };
  for (const auto& [x, w] : cases) {
    SCOPED_TRACE(to_string(x) + " with " + to_string(w));
    const Check valid = check(conv(x, w));
    EXPECT_EQ(valid.implementation("conv2d").rfind("simd ", 0), 0U) << valid.implementation("conv2d");
    EXPECT_EQ(valid.implementation("conv2d_backward_data").rfind("simd ", 0), 0U);
    EXPECT_EQ(valid.implementation("conv2d_backward_weights"), "simd direct");
    check(conv(x, w, same(x, w)));
  }
}

TEST(Conv2d, OnednnForStridesDilationAndGroups) {
  const Shape x{5, 7, 8, 4}, w{3, 3, 4, 6};
  Conv2dAttrs grouped{.groups = 2}, depthwise{.groups = 4}, wide{.padding = {1, 4, 5, 0}};
  const std::pair<Shape, Conv2dAttrs> cases[] = {
      {w, {.strides = {2, 2}}},  {w, {.strides = {2, 1}}},
      {w, same(x, w, {2, 2})},   {w, same(x, w, {3, 3})},
      {w, {.dilation = {2, 2}}}, {w, same(x, w, {1, 1}, {2, 3})},
      {{3, 3, 2, 6}, grouped},   {{3, 3, 1, 4}, depthwise},
      {{3, 3, 1, 8}, depthwise}, {w, wide},
  };
  for (const auto& [kernel, attrs] : cases) {
    SCOPED_TRACE(to_string(kernel) + " groups " + std::to_string(attrs.groups) + " strides " +
                 std::to_string(attrs.strides.height));
    const Check done = check(conv(x, kernel, attrs));
    EXPECT_EQ(done.implementation("conv2d").rfind("onednn:", 0), 0U) << done.implementation("conv2d");
    EXPECT_EQ(done.implementation("conv2d").find("ref"), std::string::npos) << done.implementation("conv2d");
  }
}

TEST(Conv2d, ActivationsAndNoBias) {
  for (const Activation activation : {Activation::relu, Activation::sigmoid, Activation::tanh}) {
    for (const ops::Size2d strides : {ops::Size2d{1, 1}, ops::Size2d{2, 2}}) {
      SCOPED_TRACE(to_string(activation));
      check(conv({3, 6, 5, 2}, {3, 3, 2, 4}, {.strides = strides, .activation = activation}));
    }
  }
  OpCase no_bias = conv({3, 6, 5, 2}, {3, 3, 2, 4});
  no_bias.inputs[2] = std::nullopt;
  no_bias.wrt = {0, 1};
  check(no_bias);
}

TEST(Conv2d, EmptyBatch) {
  for (const ops::Size2d strides : {ops::Size2d{1, 1}, ops::Size2d{2, 2}}) {
    OpCase empty = conv({0, 6, 5, 2}, {3, 3, 2, 4}, {.strides = strides});
    empty.wrt = {};
    check(empty);
  }
}

// What the pass makes: the slope of the activation before, in the data gradient's epilogue.
TEST(Conv2d, SlopeOfTheActivationBefore) {
  for (const ops::Size2d strides : {ops::Size2d{1, 1}, ops::Size2d{2, 2}}) {
    for (const Activation slope : {Activation::relu, Activation::sigmoid, Activation::tanh}) {
      SCOPED_TRACE(to_string(slope));
      const std::int64_t out = strides.height == 1 ? 3 : 2;
      check({.op = "conv2d_backward_data",
             .attrs =
                 ops::Conv2dBackwardDataAttrs{.conv = {.strides = strides}, .input = {5, 5}, .slope = slope},
             .inputs = {uniform({9, out, out, 6}), constant(uniform({3, 3, 4, 6}, -1, 1, 2)),
                        uniform({9, 5, 5, 4}, -1, 1, 3)},
             .terms = 54});
    }
  }
}

TEST(Conv2d, WrongShapes) {
  const Spec x{Shape{2, 5, 5, 3}}, w{Shape{3, 3, 3, 4}};
  expect_shape_error("conv2d", Conv2dAttrs{}, {x, {Shape{3, 3, 2, 4}}}, "the channels of W times the groups");
  expect_shape_error("conv2d", Conv2dAttrs{}, {{Shape{2, 5, 5}}, w}, "images must be f32");
  expect_shape_error("conv2d", Conv2dAttrs{}, {x, {Shape{6, 3, 3, 4}}}, "the window does not fit");
  expect_shape_error("conv2d", Conv2dAttrs{.strides = {0, 1}}, {x, w}, "must be at least 1");
  expect_shape_error("conv2d", Conv2dAttrs{.padding = {-1, 0, 0, 0}}, {x, w}, "padding must not be negative");
  expect_shape_error("conv2d", Conv2dAttrs{.groups = 3}, {x, {Shape{3, 3, 1, 4}}},
                     "must divide into the groups");
  expect_shape_error("conv2d", Conv2dAttrs{}, {x, w, {Shape{3}}}, "bias must be f32 [out]");
  expect_shape_error("conv2d_backward_data", ops::Conv2dBackwardDataAttrs{.conv = {}, .input = {5, 5}},
                     {{Shape{2, 4, 4, 4}}, w}, "dz is not of the shape");
  expect_shape_error("conv2d_backward_weights", ops::Conv2dBackwardWeightsAttrs{.conv = {}, .kernel = {3, 3}},
                     {x, {Shape{1, 3, 3, 4}}}, "dz is not of the shape");
}

TEST(Conv2d, SamePaddingIsKeras) {
  EXPECT_EQ(ops::same_padding({5, 6}, {3, 3}, {1, 1}), (ops::Padding2d{1, 1, 1, 1}));
  EXPECT_EQ(ops::same_padding({5, 6}, {3, 3}, {2, 2}), (ops::Padding2d{1, 1, 0, 1}));
  EXPECT_EQ(ops::same_padding({5, 6}, {4, 2}, {1, 1}), (ops::Padding2d{1, 2, 0, 1}));
  EXPECT_EQ(ops::same_padding({5, 6}, {2, 2}, {3, 3}), (ops::Padding2d{0, 0, 0, 0}));
  EXPECT_EQ(ops::same_padding({7, 7}, {3, 2}, {1, 1}, {2, 3}), (ops::Padding2d{2, 2, 1, 2}));
}

}  // namespace
}  // namespace gpunn::testing
