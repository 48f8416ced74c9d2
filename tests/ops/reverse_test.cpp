#include "harness.hpp"

namespace gpunn::testing {
namespace {

TEST(Reverse, TurnsTheStepsOfEverySample) {
  for (const Shape& x : {Shape{9, 1, 3}, Shape{9, 2, 1}, Shape{9, 7, 17}, Shape{3, 4}, Shape{2, 3, 2, 2}}) {
    SCOPED_TRACE(to_string(x));
    check({.op = "reverse", .inputs = {uniform(x)}, .terms = 1, .wrt = {0}});
  }
}

TEST(Reverse, OfNoSteps) {
  check({.op = "reverse", .inputs = {uniform({3, 0, 2})}});
}

TEST(Reverse, WrongShapes) {
  expect_shape_error("reverse", {}, {{Shape{3}}}, "takes one f32 input [batch, steps, ...]");
  expect_shape_error("reverse", {}, {{Shape{3, 2}, Dtype::i32}}, "f32");
}

}  // namespace
}  // namespace gpunn::testing
