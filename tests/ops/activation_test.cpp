#include "src/ops/activation.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::Activation;
using ops::ActivationAttrs;

constexpr Activation kAll[] = {Activation::linear, Activation::relu, Activation::sigmoid, Activation::tanh,
                               Activation::gelu};

TEST(Activation, ValuesAndSlopes) {
  for (const Activation kind : kAll) {
    for (const std::int64_t n : {1, 15, 16, 17, 101}) {
      SCOPED_TRACE(std::string(to_string(kind)) + " of " + std::to_string(n));
      Operand x = distinct({5, n});
      for (double& v : x.values) v = static_cast<double>(static_cast<float>(3 * v));
      const Check done =
          check({.op = "activation", .attrs = ActivationAttrs{kind}, .inputs = {x}, .terms = 4, .wrt = {0}});
      EXPECT_EQ(done.implementation("activation"), "simd activation");
    }
  }
}

TEST(Activation, GeluKeepsItsInputAndNotItsOutput) {
  Graph graph;
  const ValueId x = graph.input("x", {Shape{2, 3}}), labels = graph.input("labels", {Shape{2, 3}});
  const ValueId y = graph.emit1("activation", {x}, ActivationAttrs{Activation::gelu});
  gradients(graph, graph.emit("mean_squared_error", {y, labels}), {x});
  const Node& backward = graph.nodes().back();
  EXPECT_EQ(backward.op->name, "activation_backward");
  EXPECT_EQ(backward.inputs[0], kNoValue);
  EXPECT_EQ(backward.inputs[2], x);
}

TEST(Activation, InfinitiesReachTheLimitsAndNaNStays) {
  for (const Activation kind : kAll) {
    SCOPED_TRACE(to_string(kind));
    std::vector<double> edges = {0.0, -0.0, INFINITY, NAN, 1e30, -1e30, 88, -88, 1e-30};
    if (kind != Activation::gelu) edges.push_back(-INFINITY);  // -infinity * 0 there
    const auto n = static_cast<std::int64_t>(edges.size());
    for (const double edge : edges) {  // one at a time: a norm over 1e30 would hide the others
      check({.op = "activation",
             .attrs = ActivationAttrs{kind},
             .inputs = {given({1, 1}, {edge})},
             .terms = 16,
             .mostly_zero = true});
    }
    check(
        {.op = "activation", .attrs = ActivationAttrs{kind}, .inputs = {given({1, n}, edges)}, .terms = 16});
  }
}

TEST(Activation, SlopeOfReluAtZeroIsZero) {
  Check done;
  const ValueId x = done.input(given({1, 2}, {0.0, -0.0}));
  const ValueId y = done.graph.emit1("activation", {x}, ActivationAttrs{Activation::relu});
  const ValueId dx = gradients(done.graph, {done.add_loss(y)}, {x})[0];
  done.mostly_zero = true;
  done.run();
  EXPECT_EQ(done.reference(dx), (std::vector<double>{0, 0}));
}

TEST(Activation, WrongShapes) {
  const Spec x{Shape{2, 3}};
  expect_shape_error("activation", ActivationAttrs{}, {{Shape{2, 3}, Dtype::i32}}, "one f32 input");
  expect_shape_error("activation_backward", ActivationAttrs{}, {{Shape{3, 2}}, x}, "y must have dy's shape");
  expect_shape_error("activation_backward", ActivationAttrs{Activation::gelu}, {x, x},
                     "needs x of dy's shape");
}

}  // namespace
}  // namespace gpunn::testing
