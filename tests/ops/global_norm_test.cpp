#include "src/ops/global_norm.hpp"

#include <cmath>

#include "harness.hpp"
#include "segments_for_test.hpp"

namespace gpunn::testing {
namespace {

TEST(GlobalNorm, OfAllSegmentsThatAreNotFrozen) {
  Check done;
  done.step.gradient_scale = -0.5f;
  done.terms = 4;
  const Operand gradients = constant(uniform({kFlatElements}));
  const ValueId sums =
      done.graph.emit1("squared_norms", {done.input(gradients)}, ops::SquaredNormsAttrs{some_segments()});
  const ValueId norm = done.graph.emit1("global_norm", {sums});
  done.run();
  double squares = 0;
  for (const auto& segment : some_segments()) {
    if (segment.frozen) continue;
    for (std::int64_t i = 0; i < segment.count; ++i) {
      const double g = gradients.values[static_cast<std::size_t>(segment.offset + i)];
      squares += g * g;
    }
  }
  EXPECT_NEAR(done.reference(norm)[0], std::sqrt(squares) / 2, 1e-5);
  EXPECT_EQ(done.graph.spec(sums).shape, Shape{2 + 2 * 8 + 1});  // 33 | 5 | 2 * 16384 in pieces of 2048, 1
}

TEST(GlobalNorm, NothingToSum) {
  Check done;
  const ValueId sums =
      done.graph.emit1("squared_norms", {done.input(constant(uniform({4})))}, ops::SquaredNormsAttrs{});
  const ValueId norm = done.graph.emit1("global_norm", {sums});
  done.run();
  EXPECT_EQ(done.reference(norm)[0], 0);
}

TEST(GlobalNorm, ClipFactorIsKeras) {
  EXPECT_EQ(ops::clip_factor(0.5f, 1), 1);
  EXPECT_EQ(ops::clip_factor(0, 1), 1);  // 1 / 0 is infinite, and 1 is less
  EXPECT_FLOAT_EQ(ops::clip_factor(4, 1), 0.25f);
  EXPECT_TRUE(std::isnan(ops::clip_factor(INFINITY, 1)));
  EXPECT_TRUE(std::isnan(ops::clip_factor(NAN, 1)));
}

TEST(GlobalNorm, WrongShapes) {
  expect_shape_error("squared_norms", ops::SquaredNormsAttrs{}, {{Shape{2, 2}}}, "gradients f32 [n]");
  expect_shape_error("global_norm", {}, {{Shape{2}, Dtype::i32}}, "sums f32 [pieces]");
}

}  // namespace
}  // namespace gpunn::testing
