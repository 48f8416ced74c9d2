#include "src/ops/chain.hpp"

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::Activation;
using ops::Binary;
using ops::ChainAttrs;
using ops::ChainStep;

ChainStep with(Binary kind, int operand) {
  return {.kind = ChainStep::Kind::binary, .binary = kind, .operand = operand};
}
ChainStep act(Activation kind) {
  return {.kind = ChainStep::Kind::activation, .activation = kind};
}
ChainStep slope(Activation kind, int operand) {
  return {.kind = ChainStep::Kind::slope, .activation = kind, .operand = operand};
}

TEST(Chain, StepsFollowOneAnother) {
  for (const std::int64_t n : {1, 7, 16, 331, 1024}) {  // around a block of 1,024 elements
    SCOPED_TRACE(n);
    const ChainStep scale{.kind = ChainStep::Kind::affine, .affine = {.scale = 0.5f, .offset = 3}};
    check({.op = "chain",
           .attrs = ChainAttrs{{with(Binary::add, 1), act(Activation::tanh), with(Binary::multiply, 2),
                                with(Binary::subtract, 3), scale, slope(Activation::sigmoid, 1)}},
           .inputs = {uniform({3, n}, -1, 1, 1), uniform({3, n}, -1, 1, 2), constant(uniform({n}, 1, 2, 3)),
                      constant(uniform({1, 1}, -1, 1, 4))},
           .terms = 16});
  }
}

TEST(Chain, EveryStepAlone) {
  const Operand x = distinct({4, 33}), other = uniform({4, 33}, 0.5, 1.5, 2);
  for (const Binary kind :
       {Binary::add, Binary::subtract, Binary::multiply, Binary::divide, Binary::maximum, Binary::minimum}) {
    check({.op = "chain", .attrs = ChainAttrs{{with(kind, 1)}}, .inputs = {x, other}, .terms = 4});
  }
  for (const Activation kind :
       {Activation::linear, Activation::relu, Activation::sigmoid, Activation::tanh, Activation::gelu}) {
    check({.op = "chain", .attrs = ChainAttrs{{act(kind)}}, .inputs = {x}, .terms = 4});
    check({.op = "chain", .attrs = ChainAttrs{{slope(kind, 1)}}, .inputs = {x, other}, .terms = 4});
  }
}

TEST(Chain, ChannelsOfImages) {
  check({.op = "chain",
         .attrs = ChainAttrs{{with(Binary::multiply, 1), with(Binary::add, 2), act(Activation::relu)}},
         .inputs = {uniform({2, 5, 7, 3}, -1, 1, 1), constant(uniform({3}, 1, 2, 2)),
                    constant(uniform({1, 7, 3}, -1, 1, 3))},
         .terms = 4});
}

TEST(Chain, WrongOperands) {
  const Spec x{Shape{4, 6}};
  const ChainAttrs add{{with(Binary::add, 1)}};
  expect_shape_error("chain", add, {x, {Shape{4, 5}}}, "an operand must have x's shape");
  expect_shape_error("chain", add, {x, {Shape{4, 1}}}, "an operand must have x's shape");
  expect_shape_error("chain", add, {x}, "an operand must have x's shape");
  expect_shape_error("chain", ChainAttrs{}, {x}, "1 to 8 steps");
  expect_shape_error("chain", ChainAttrs{std::vector<ChainStep>(9, act(Activation::relu))}, {x},
                     "1 to 8 steps");
}

}  // namespace
}  // namespace gpunn::testing
