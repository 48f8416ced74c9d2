#include "src/ops/concatenate.hpp"

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::ConcatenateAttrs;

TEST(Concatenate, AlongEveryAxis) {
  for (const int axis : {1, 2, 3, -1, -2}) {
    SCOPED_TRACE(axis);
    const Shape shape{5, 2, 3, 4};
    check({.op = "concatenate",
           .attrs = ConcatenateAttrs{axis},
           .inputs = {uniform(shape), uniform(shape.with(axis, 1), -1, 1, 2),
                      uniform(shape.with(axis, 7), -1, 1, 3)},
           .terms = 4,
           .wrt = {0, 1, 2}});
  }
}

TEST(Concatenate, OneInputAndAnEmptyOne) {
  check({.op = "concatenate", .attrs = ConcatenateAttrs{}, .inputs = {uniform({3, 2})}, .wrt = {0}});
  check({.op = "concatenate",
         .attrs = ConcatenateAttrs{},
         .inputs = {uniform({3, 2}), uniform({3, 0}), uniform({3, 4}, -1, 1, 2)},
         .wrt = {0, 2}});
}

TEST(Concatenate, WrongShapes) {
  const Spec x{Shape{2, 3}};
  expect_shape_error("concatenate", ConcatenateAttrs{0}, {x, x}, "axis 0 is the batch or does not exist");
  expect_shape_error("concatenate", ConcatenateAttrs{2}, {x, x}, "axis 2");
  expect_shape_error("concatenate", ConcatenateAttrs{1}, {x, {Shape{3, 3}}}, "alike but for axis 1");
  expect_shape_error("concatenate_backward", ops::ConcatenateBackwardAttrs{.axis = 1, .begin = 2, .size = 2},
                     {x}, "the part reaches beyond dy");
}

}  // namespace
}  // namespace gpunn::testing
