#include "harness.hpp"

namespace gpunn::testing {
namespace {

TEST(Assign, CopiesAnySize) {
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 5}, Shape{9, 0}, Shape{2, 3, 7}}) {
    SCOPED_TRACE(to_string(shape));
    check({.op = "assign", .inputs = {uniform(shape, -1, 1, 1), uniform(shape, -1, 1, 2)}});
  }
}

TEST(Assign, WrongShapes) {
  expect_shape_error("assign", {}, {{Shape{3}}, {Shape{4}}}, "the same shape");
  expect_shape_error("assign", {}, {{Shape{3}, Dtype::i32}, {Shape{3}, Dtype::i32}}, "f32");
}

}  // namespace
}  // namespace gpunn::testing
