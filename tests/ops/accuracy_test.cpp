#include "src/ops/accuracy.hpp"

#include <cmath>

#include "harness.hpp"

namespace gpunn::testing {
namespace {

using ops::Accuracy;
using ops::AccuracyAttrs;

std::vector<double> result(Accuracy kind, const Operand& predictions, const Operand& labels,
                           const std::optional<Operand>& weights = std::nullopt,
                           const std::string& refused = {}) {
  Check done;
  const ValueId pair = done.graph.emit1(
      "accuracy", {done.input(predictions), done.input(labels), weights ? done.input(*weights) : kNoValue},
      AccuracyAttrs{kind});
  done.terms = 4;
  done.refused = refused;
  done.run();
  return done.reference(pair);
}

TEST(Accuracy, ThreeKinds) {
  const Operand predictions = given({3, 2}, {0.9, 0.1, 0.4, 0.6, 0.5, 0.5});
  EXPECT_EQ(result(Accuracy::sparse_categorical, predictions, given({3}, {0, 0, 0}, Dtype::i32)),
            (std::vector<double>{2, 3}));  // of equal ones the first counts
  EXPECT_EQ(result(Accuracy::categorical, predictions, given({3, 2}, {1, 0, 1, 0, 0, 1})),
            (std::vector<double>{1, 3}));
  EXPECT_EQ(result(Accuracy::binary, predictions, given({3, 2}, {1, 0, 1, 1, 0, 0})),  // 0.5 is not above 0.5
            (std::vector<double>{1 + 0.5 + 1, 3}));
}

TEST(Accuracy, WeightsAreSummed) {
  const auto pair = result(Accuracy::sparse_categorical, given({2, 2}, {0, 1, 0, 1}),
                           given({2}, {1, 0}, Dtype::i32), given({2}, {3, 0.5}));
  EXPECT_EQ(pair, (std::vector<double>{3, 3.5}));
}

TEST(Accuracy, ManyRows) {
  result(Accuracy::sparse_categorical, distinct({101, 10}), classes({101}, 10), uniform({101}, 0, 1));
  result(Accuracy::categorical, distinct({101, 10}), distinct({101, 10}, 2));
  result(Accuracy::sparse_categorical, distinct({7, 5, 3}), classes({7, 5}, 3), uniform({7, 5}, 0.1, 1));
  // Weights of samples are spread over their vectors by loss_weights first.
  result(Accuracy::sparse_categorical, distinct({7, 5, 3}), classes({7, 5}, 3), uniform({7}, 0.1, 1),
         "weights on cuda must be one for each vector");
}

TEST(Accuracy, OutOfRangeAndNaNAreMisses) {
  const auto pair = result(Accuracy::sparse_categorical, given({3, 2}, {0, 1, 0, 1, NAN, NAN}),
                           given({3}, {2, -1, 1}, Dtype::i32));
  EXPECT_EQ(pair, (std::vector<double>{0, 3}));
}

TEST(Accuracy, WrongShapes) {
  expect_shape_error("accuracy", AccuracyAttrs{}, {{Shape{5, 4}}, {Shape{5}}}, "sparse labels must be i32");
  expect_shape_error("accuracy", AccuracyAttrs{Accuracy::binary}, {{Shape{5, 1}}, {Shape{5}, Dtype::i32}},
                     "labels must be f32");
}

}  // namespace
}  // namespace gpunn::testing
