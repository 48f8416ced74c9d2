#include "src/ops/softmax.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

TEST(Softmax, EveryWidth) {
  for (const std::int64_t classes : {1, 2, 10, 16, 17, 100}) {
    SCOPED_TRACE(classes);
    check({.op = "softmax",
           .inputs = {uniform({9, classes}, -4, 4)},
           .terms = static_cast<double>(classes) + 4,
           .wrt = {0},
           .mostly_zero = classes == 1});
  }
  check({.op = "softmax", .inputs = {uniform({3, 2, 5, 7}, -4, 4)}, .terms = 8, .wrt = {0}});
}

TEST(Softmax, LargeInputsDoNotOverflow) {
  check({.op = "softmax",
         .inputs = {given({3, 3}, {1000, 999, 0, -1000, -1001, -1000, 3e38, 0, 0})},
         .terms = 8});
}

TEST(Softmax, NaNSpoilsItsRowAlone) {
  Check done;
  const ValueId y = done.graph.emit1("softmax", {done.input(given({2, 3}, {0, 1, 2, 0, NAN, 2}))});
  done.terms = 8;
  done.run();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(std::isnan(done.reference(y)[static_cast<std::size_t>(i)]), i >= 3);
}

TEST(Softmax, WrongShapes) {
  expect_shape_error("softmax", {}, {{Shape{2, 3}, Dtype::u8}}, "one f32 input");
  expect_shape_error("softmax_backward", {}, {{Shape{2, 3}}, {Shape{3, 2}}}, "f32 and alike");
}

}  // namespace
}  // namespace gpunn::testing
