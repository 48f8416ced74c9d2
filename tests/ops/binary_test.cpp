#include "src/ops/binary.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::Binary;
using ops::BinaryAttrs;

constexpr Binary kAll[] = {Binary::add,    Binary::subtract, Binary::multiply,
                           Binary::divide, Binary::maximum,  Binary::minimum};

// Away from 0, for the quotient; distinct, for the maximum.
Operand operand(Shape shape, int seed) {
  Operand x = distinct(shape, seed);
  for (double& v : x.values)
    v = static_cast<double>(static_cast<float>(v + (v < 0 ? -0.5 : 0.5) + 0.001 * seed));
  return x;
}

TEST(Binary, BroadcastsWithGradients) {
  const std::pair<Operand, Operand> cases[] = {
      {operand({9, 5}, 1), operand({9, 5}, 2)},
      {operand({9, 5}, 1), operand({9, 1}, 2)},                  // one number for each row
      {operand({4, 3, 1, 5}, 1), operand({4, 1, 2, 5}, 2)},      // both broadcast
      {operand({9, 5}, 1), constant(operand({5}, 2))},           // a bias
      {constant(operand({2, 1}, 1)), operand({7, 3, 2, 4}, 2)},  // no batch, at the left
      {operand({5, 2, 3}, 1), constant(operand({1, 2, 1}, 2))},
      {operand({5, 3}, 1), constant(operand({}, 2))},  // a scalar
      {operand({6, 1}, 1), operand({6, 1}, 2)},
  };
  for (const auto& [a, b] : cases) {
    for (const Binary kind : kAll) {
      SCOPED_TRACE(to_string(a.spec.shape) + " with " + to_string(b.spec.shape) + ", kind " +
                   std::to_string(static_cast<int>(kind)));
      check({.op = "binary",
             .attrs = BinaryAttrs{kind},
             .inputs = {a, b},
             .terms = static_cast<double>(a.values.size() + b.values.size()),
             .wrt = {0, 1},
             .mostly_zero = kind == Binary::maximum || kind == Binary::minimum});
    }
  }
}

TEST(Binary, AnOperandUsedTwiceGetsBothShares) {
  Check done;
  const ValueId x = done.input(uniform({5, 3}));
  const ValueId square = done.graph.emit1("binary", {x, x}, BinaryAttrs{Binary::multiply});
  const ValueId twice = done.graph.emit1("binary", {square, square}, BinaryAttrs{Binary::add});
  done.terms = 4;
  done.run(done.add_loss(twice), {x});
}

TEST(Binary, MaximumOfATieSharesAndNaNStays) {
  for (const Binary kind : {Binary::maximum, Binary::minimum}) {
    Check done;
    const ValueId a = done.input(given({1, 4}, {1, NAN, 2, -INFINITY}));
    const ValueId b = done.input(given({1, 4}, {1, 2, NAN, INFINITY}, Dtype::f32));
    const ValueId y = done.graph.emit1("binary", {a, b}, BinaryAttrs{kind});
    const ValueId da = done.graph.emit1("binary_backward", {done.input(given({1, 4}, {1, 1, 1, 1})), a, b},
                                        ops::BinaryBackwardAttrs{.kind = kind, .operand = 0});
    done.run();
    EXPECT_EQ(done.reference(y)[0], 1);
    EXPECT_TRUE(std::isnan(done.reference(y)[1]) && std::isnan(done.reference(y)[2]));
    EXPECT_EQ(done.reference(da)[0], 0.5);
  }
}

TEST(Binary, WrongShapes) {
  expect_shape_error("binary", BinaryAttrs{}, {{Shape{2, 3}}, {Shape{2, 4}}}, "do not broadcast");
  expect_shape_error("binary", BinaryAttrs{}, {{Shape{2, 3}}, {Shape{2, 3}, Dtype::i32}}, "two f32 operands");
  expect_shape_error("reduce_each", ops::ReduceAttrs{Shape{3}}, {{Shape{2, 3}}}, "the batch must stay");
  expect_shape_error("reduce_sum", ops::ReduceAttrs{Shape{2, 3}}, {{Shape{2, 3}}},
                     "the batch must be summed");
  expect_shape_error("reduce_sum", ops::ReduceAttrs{Shape{4}}, {{Shape{2, 3}}},
                     "can only reduce an axis to 1");
}

// A parameter as long as the batch is not a batch.
TEST(Binary, AnOperandWithoutABatchCannotHaveItsExtent) {
  Graph graph;
  const ValueId x = graph.input("x", {Shape{4, 3}});
  const ValueId parameter = graph.input("parameter", {Shape{4, 3}}, false);
  EXPECT_THROW(graph.emit("binary", {x, parameter}, BinaryAttrs{}), ShapeError);
}

}  // namespace
}  // namespace gpunn::testing
