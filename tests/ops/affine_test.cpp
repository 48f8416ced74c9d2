#include "src/ops/affine.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::AffineAttrs;

TEST(Affine, ScalesAndShifts) {
  for (const std::int64_t n : {0, 1, 7, 64, 101}) {
    check({.op = "affine",
           .attrs = AffineAttrs{.scale = 2.5f, .offset = -0.75f},
           .inputs = {uniform({5, n})},
           .terms = 101,
           .wrt = n > 0 ? std::vector{0} : std::vector<int>{}});
  }
  check({.op = "affine", .attrs = AffineAttrs{}, .inputs = {given({1, 3}, {NAN, INFINITY, -INFINITY})}});
}

TEST(Affine, BytesBecomeFloatsAndTakeNoGradient) {
  Check done;
  Operand bytes = uniform({3, 85}, 0, 255);
  bytes.spec.dtype = Dtype::u8;
  for (double& v : bytes.values) v = std::floor(v);
  bytes.values[0] = 0, bytes.values[1] = 255;
  const ValueId x = done.input(bytes);
  const ValueId y = done.graph.emit1("affine", {x}, AffineAttrs{.scale = 1.0f / 255});
  EXPECT_EQ(done.graph.spec(y).dtype, Dtype::f32);
  const ValueIds none = gradients(done.graph, {done.add_loss(y)}, {x});
  EXPECT_EQ(none[0], kNoValue);
  done.terms = 4;
  done.run();
  EXPECT_NEAR(done.reference(y)[1], 1.0, 1e-7);
}

TEST(Affine, WrongShapes) {
  expect_shape_error("affine", AffineAttrs{}, {{Shape{2, 3}, Dtype::i32}}, "f32 or u8");
}

}  // namespace
}  // namespace gpunn::testing
