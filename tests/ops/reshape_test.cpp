#include "src/ops/reshape.hpp"

#include "harness.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/dense.hpp"

namespace gpunn::testing {
namespace {

using ops::ReshapeAttrs;

TEST(Reshape, KeepsElementsAndTheirGradients) {
  Check done;
  const ValueId x = done.input(uniform({5, 2, 3}));
  const ValueId flat = done.graph.emit1("reshape", {x}, ReshapeAttrs{Shape{6}});
  EXPECT_EQ(done.graph.spec(flat).shape, (Shape{5, 6}));
  const ValueId y = done.graph.emit1("activation", {flat}, ops::ActivationAttrs{ops::Activation::tanh});
  done.terms = 4;
  done.run(done.add_loss(y), {x});
}

TEST(Reshape, WeightsAreReshapedAsAWhole) {
  Check done;
  Operand weights = uniform({2, 3, 5});
  weights.batched = false;
  const ValueId x = done.input(uniform({4, 6})), w = done.input(weights);
  const ValueId matrix = done.graph.emit1("reshape", {w}, ReshapeAttrs{Shape{6, 5}, true});
  EXPECT_EQ(done.graph.spec(matrix).shape, (Shape{6, 5}));
  const ValueId y = done.graph.emit1("dense", {x, matrix, kNoValue}, ops::DenseAttrs{});
  done.terms = 6;
  done.run(done.add_loss(y), {x, w});
}

// Rows of [batch * steps] and back: what is computed between sees each step by itself.
TEST(Reshape, StepsBecomeRowsAndStepsAgain) {
  Graph graph;
  const ValueId x = graph.input("x", {Shape{5, 2, 3, 4}});
  const ValueId rows = graph.emit1("reshape", {x}, ReshapeAttrs{.row = Shape{12}, .steps = 2});
  EXPECT_EQ(graph.spec(rows).shape, (Shape{10, 12}));
  const ValueId back = graph.emit1("reshape", {rows}, ReshapeAttrs{.row = Shape{2, 12}, .steps = -2});
  EXPECT_EQ(graph.spec(back).shape, (Shape{5, 2, 12}));
  expect_shape_error("reshape", ReshapeAttrs{.row = Shape{3}, .steps = 3}, {{Shape{5, 2, 3}}},
                     "is not [batch, 3, ...]");
  expect_shape_error("reshape", ReshapeAttrs{.row = Shape{2, 3}, .steps = -2}, {{Shape{5, 3}}},
                     "is not [batch * 2, ...]");
}

TEST(Reshape, ComputesNothing) {
  EXPECT_TRUE(find_op("reshape").view);
  Graph graph;
  graph.emit("reshape", {graph.input("x", {Shape{5, 2, 3}})}, ReshapeAttrs{Shape{3, 2}});
  EXPECT_EQ(find_op("reshape").cost(graph.call(graph.nodes()[0]).call).bytes, 0);
}

TEST(Reshape, WrongShapes) {
  expect_shape_error("reshape", ReshapeAttrs{Shape{4}}, {{Shape{2, 5}}}, "does not have the elements of [4]");
  expect_shape_error("reshape", ReshapeAttrs{Shape{9}, true}, {{Shape{2, 5}}},
                     "does not have the elements of [9]");
  Graph graph;
  const ValueId batched = graph.input("x", {Shape{2, 5}});
  EXPECT_THROW(graph.emit("reshape", {batched}, ReshapeAttrs{Shape{10}, true}), ShapeError);
  expect_shape_error("reshape", ReshapeAttrs{Shape{}}, {{Shape{}}}, "one input [batch, ...]");
}

}  // namespace
}  // namespace gpunn::testing
