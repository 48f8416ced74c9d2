#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "gpunn/data.hpp"
#include "tests/io/numbered_dataset.hpp"

namespace gpunn {
namespace {

TEST(TensorDataset, DescribesItselfAndReads) {
  const std::vector<float> x{1, 2, 3, 4, 5, 6};
  const std::vector<std::int32_t> y{7, 8, 9};
  const TensorDataset data(Tensor::borrow({3, 2}, Dtype::f32, x.data()), Tensor::of({3}, y));
  EXPECT_EQ(data.size(), 3);
  EXPECT_EQ(data.inputs().at(0).shape, Shape{2});
  EXPECT_EQ(data.targets().at(0).dtype, Dtype::i32);
  EXPECT_EQ(data.resident()[0].bytes(), reinterpret_cast<const std::byte*>(x.data()));  // shared, not copied

  std::array<float, 4> rows{};
  std::array<std::int32_t, 2> labels{};
  const std::array<std::byte*, 2> fields{reinterpret_cast<std::byte*>(rows.data()),
                                         reinterpret_cast<std::byte*>(labels.data())};
  data.read(std::array<std::int64_t, 2>{2, 0}, fields);
  EXPECT_EQ(rows, (std::array<float, 4>{5, 6, 1, 2}));
  EXPECT_EQ(labels, (std::array<std::int32_t, 2>{9, 7}));
  EXPECT_THROW(data.read(std::array<std::int64_t, 1>{3}, fields), UsageError);
  EXPECT_THROW(data.read(std::array<std::int64_t, 1>{-1}, fields), UsageError);
  EXPECT_THROW(data.read(std::array<std::int64_t, 1>{0}, std::span(fields).first(1)), UsageError);
}

TEST(TensorDataset, RefusesColumnsThatDoNotFit) {
  EXPECT_THROW(TensorDataset(Tensor({3, 2}), Tensor(Shape{4})), ShapeError);
  EXPECT_THROW(TensorDataset(Tensor(Shape{}), Tensor(Shape{})), ShapeError);
  EXPECT_THROW(TensorDataset(TensorDataset::Columns{.inputs = {}}), UsageError);
  const auto weighted = [](Tensor weights) {
    return TensorDataset({.inputs = {Tensor({2, 1})}, .targets = {}, .weights = std::move(weights)});
  };
  EXPECT_THROW(weighted(Tensor({2, 1})), ShapeError);
  EXPECT_THROW(weighted(Tensor({2}, Dtype::f64)), ShapeError);
  for (const float bad : {-1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    EXPECT_THROW(weighted(Tensor::of({2}, std::vector<float>{1, bad})), DataError);
  }
  EXPECT_TRUE(weighted(Tensor::of({2}, std::vector<float>{1, 0})).has_weights());
}

TEST(Split, PartsAreDisjointCompleteAndRepeatable) {
  const auto data = std::make_shared<NumberedDataset>(569);
  const auto samples = [](const DatasetPtr& part) {
    Loader loader(part, {.shuffle = false});
    return epoch(loader, 0);
  };
  const auto [train, test] = data::split(data, 0.2, 1);
  EXPECT_EQ(test->size(), 114);
  auto all = samples(train);
  const auto in_test = samples(test);
  EXPECT_FALSE(std::is_sorted(in_test.begin(), in_test.end()));
  all.insert(all.end(), in_test.begin(), in_test.end());
  EXPECT_EQ(std::set(all.begin(), all.end()).size(), 569u);
  EXPECT_EQ(samples(data::split(data, 0.2, 1).test), in_test);
  EXPECT_NE(samples(data::split(data, 0.2, 2).test), in_test);
  EXPECT_EQ(data::split(data, 0.0).test->size(), 0);
  EXPECT_EQ(data::split(data, 1.0).train->size(), 0);
  for (const double bad : {-0.1, 1.1, std::nan("")}) EXPECT_THROW(data::split(data, bad), UsageError);
  EXPECT_THROW(data::subset(data, 0, 570), UsageError);
  EXPECT_THROW(data::subset(data, {569}), UsageError);
}

}  // namespace
}  // namespace gpunn
