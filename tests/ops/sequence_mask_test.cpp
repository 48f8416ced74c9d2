#include "src/ops/sequence_mask.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::SequenceMaskAttrs;

TEST(SequenceMask, OfTokens) {
  check({.op = "sequence_mask",
         .attrs = SequenceMaskAttrs{0},
         .inputs = {classes({9, 7}, 3)},
         .mostly_zero = true});
}

// A step is padding only if all of its numbers are the value; a step of NaN is not.
TEST(SequenceMask, OfFeatures) {
  Operand x = classes({9, 7, 3}, 2);
  x.spec.dtype = Dtype::f32;
  x.values[0] = std::nan("");
  Check done =
      check({.op = "sequence_mask", .attrs = SequenceMaskAttrs{1}, .inputs = {x}, .mostly_zero = true});
  EXPECT_EQ(done.reference(done.graph.nodes()[0].outputs[0])[0], 1);
}

TEST(ApplyMask, ZeroesPadding) {
  for (const std::int64_t features : {1, 5, 16}) {
    Operand mask = classes({9, 7}, 2);
    mask.spec.dtype = Dtype::u8;
    check({.op = "apply_mask", .inputs = {uniform({9, 7, features}), mask}, .wrt = {0}, .mostly_zero = true});
  }
}

TEST(ApplyMask, ReplacesNanByZero) {
  Operand x = given({1, 2, 1}, {std::nan(""), 3});
  check({.op = "apply_mask", .inputs = {x, given({1, 2}, {0, 1}, Dtype::u8)}, .mostly_zero = true});
}

Operand mask(Shape shape, int seed) {
  Operand made = classes(shape, 2, seed);
  made.spec.dtype = Dtype::u8;
  return made;
}

TEST(MergeMasks, EitherOrOneAfterTheOther) {
  check({.op = "merge_masks",
         .attrs = ops::MergeMasksAttrs{},
         .inputs = {mask({9, 7}, 1), mask({9, 7}, 2)},
         .mostly_zero = true});
  for (const std::int64_t others : {0, 1, 4}) {
    check({.op = "merge_masks",
           .attrs = ops::MergeMasksAttrs{true},
           .inputs = {mask({9, 7}, 1), mask({9, others}, 2)},
           .mostly_zero = true});
  }
}

TEST(MergeMasks, WrongShapes) {
  const Spec seven{Shape{3, 7}, Dtype::u8}, six{Shape{3, 6}, Dtype::u8}, other{Shape{2, 7}, Dtype::u8};
  const ops::MergeMasksAttrs either, join{true};
  expect_shape_error("merge_masks", either, {seven, {Shape{3, 7}}}, "two masks u8");
  expect_shape_error("merge_masks", either, {seven, six}, "same samples and steps");
  expect_shape_error("merge_masks", join, {seven, other}, "same samples and steps");
}

TEST(SequenceMask, WrongShapes) {
  expect_shape_error("sequence_mask", SequenceMaskAttrs{}, {{Shape{3}}}, "f32 or i32 input");
  expect_shape_error("sequence_mask", SequenceMaskAttrs{}, {{Shape{3, 2}, Dtype::u8}}, "f32 or i32 input");
  expect_shape_error("apply_mask", {}, {{Shape{3, 2, 4}}, {Shape{3, 2}}}, "the mask must be u8");
  expect_shape_error("apply_mask", {}, {{Shape{3, 2, 4}}, {Shape{3, 4}, Dtype::u8}}, "the mask must be u8");
}

}  // namespace
}  // namespace gpunn::testing
