#include "src/ops/dense.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::Activation;
using ops::DenseAttrs;

OpCase dense(Shape x, std::int64_t units, Activation activation = Activation::linear) {
  const std::int64_t in = x[-1];
  return {
      .op = "dense",
      .attrs = DenseAttrs{activation},
      .inputs = {uniform(x), constant(uniform({in, units}, -1, 1, 2)), constant(uniform({units}, -1, 1, 3))},
      .terms = static_cast<double>(std::max({in, units, x.elements() / in})),
      .wrt = {0, 1, 2}};
}

TEST(Dense, ProductsOfEverySize) {
  for (const std::int64_t rows : {1, 7, 8, 9, 33}) {
    for (const auto& [in, out] : {std::pair{1, 1}, {10, 64}, {17, 3}, {64, 31}}) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(in) + " x " + std::to_string(out));
      const Check done = check(dense({rows, in}, out));
      EXPECT_EQ(done.implementation("dense"), "simd gemm");
      EXPECT_EQ(done.implementation("dense_backward_data"), "simd gemm");
      EXPECT_EQ(done.implementation("dense_backward_weights"), "simd gemm");
    }
  }
}

TEST(Dense, ActivationsInTheEpilogue) {
  for (const Activation activation : {Activation::relu, Activation::sigmoid, Activation::tanh}) {
    SCOPED_TRACE(to_string(activation));
    check(dense({9, 13}, 18, activation));
  }
  OpCase inference = dense({9, 13}, 18, Activation::gelu);
  inference.wrt = {};
  check(inference);
}

TEST(Dense, NoBiasMoreAxesEmptyBatch) {
  OpCase no_bias = dense({5, 4}, 6);
  no_bias.inputs[2] = std::nullopt;
  no_bias.wrt = {0, 1};
  check(no_bias);
  check(dense({4, 3, 2, 5}, 7));  // leading axes are rows
  OpCase empty = dense({0, 5}, 7);
  empty.wrt = {};
  check(empty);
}

// Above the size where slices would each make a copy of dW.
TEST(Dense, LargeWeightsShareOutTheirRows) {
  OpCase large = dense({11, 531}, 67);
  large.wrt = {1, 2};
  check(large);
  Graph graph;
  const ValueId x = graph.input("x", {Shape{11, 531}}), dz = graph.input("dz", {Shape{11, 67}});
  graph.emit("dense_backward_weights", {x, dz}, ops::DenseBackwardWeightsAttrs{});
  const auto call = graph.call(graph.nodes()[0]);
  EXPECT_GT(cpu::find_implementation("dense_backward_weights")(call.call, {}).tasks, 1);
}

// What the pass makes: the slope of the activation before, in the data gradient's epilogue.
TEST(Dense, SlopeOfTheActivationBefore) {
  for (const Activation slope : {Activation::relu, Activation::sigmoid, Activation::tanh}) {
    SCOPED_TRACE(to_string(slope));
    check({.op = "dense_backward_data",
           .attrs = ops::DenseBackwardDataAttrs{slope},
           .inputs = {uniform({9, 17}), constant(uniform({5, 17}, -1, 1, 2)), uniform({9, 5}, -1, 1, 3)},
           .terms = 17});
  }
}

TEST(Dense, NotANumberSpreadsOnlyAlongItsRow) {
  Check done;
  Operand x = uniform({3, 4});
  x.values[5] = NAN;
  const ValueId y =
      done.graph.emit1("dense", {done.input(x), done.input(constant(uniform({4, 2}, -1, 1, 2))), kNoValue},
                       DenseAttrs{Activation::relu});
  done.terms = 4;
  done.mostly_zero = true;
  done.run();
  EXPECT_TRUE(std::isnan(done.reference(y)[2]) && std::isnan(done.reference(y)[3]));
  EXPECT_FALSE(std::isnan(done.reference(y)[1]) || std::isnan(done.reference(y)[4]));
}

TEST(Dense, WrongShapes) {
  const Spec x{Shape{5, 4}}, w{Shape{4, 3}}, b{Shape{3}};
  expect_shape_error("dense", DenseAttrs{}, {x, {Shape{5, 3}}},
                     "the last extent of x must be the first of W");
  expect_shape_error("dense", DenseAttrs{}, {{Shape{4}}, w}, "x and y must be f32 [batch, ..., features]");
  expect_shape_error("dense", DenseAttrs{}, {x, b}, "W must be f32 [in, out]");
  expect_shape_error("dense", DenseAttrs{}, {x, w, {Shape{4}}}, "bias must be f32 [out]");
  expect_shape_error("dense", DenseAttrs{}, {{Shape{5, 4}, Dtype::i32}, w}, "f32");
  expect_shape_error("dense_backward_data", ops::DenseBackwardDataAttrs{Activation::relu}, {{Shape{5, 3}}, w},
                     "a slope needs the activation's output");
  expect_shape_error("dense_backward_weights", ops::DenseBackwardWeightsAttrs{}, {x, {Shape{6, 3}}},
                     "the same rows");
}

TEST(Dense, RefusesTheGradientOfAFusedGelu) {
  Check check;
  const ValueId x = check.input(uniform({2, 3})), w = check.input(constant(uniform({3, 2})));
  const ValueId loss = check.add_loss(check.graph.emit1("dense", {x, w}, DenseAttrs{Activation::gelu}));
  EXPECT_THROW(gradients(check.graph, {loss}, {w}), UsageError);
}

}  // namespace
}  // namespace gpunn::testing
