// Training on sequences in buckets: the same network at several lengths, planned once each.
#include <gtest/gtest.h>

#include <algorithm>

#include "gpunn/text.hpp"
#include "src/train/step.hpp"
#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

// 200 sequences of 1 to 12 steps with values from 1 to 9; the label says whether a 9 is among them.
SequenceDataset sequences(std::vector<std::int64_t> buckets, std::optional<Tensor> weights = {}) {
  std::vector<std::vector<std::int32_t>> x;
  std::vector<float> y;
  for (std::uint32_t i = 0; i < 200; ++i) {
    std::vector<std::int32_t> one;
    for (std::uint32_t t = 0; t < 1 + i % 12; ++t)
      one.push_back(static_cast<std::int32_t>(1 + philox({.seed = 3}, i * 100 + t)[0] % 9));
    y.push_back(std::ranges::count(one, 9) > 0 ? 1.0f : 0.0f);
    x.push_back(std::move(one));
  }
  return SequenceDataset(std::move(x), Tensor::of({200}, y),
                         {.pad = {.maxlen = 12, .padding = Side::post},
                          .buckets = std::move(buckets),
                          .weights = std::move(weights)});
}

// Padding is 0 and cannot be the largest of what relu lets through, so the length does not matter to it.
Sequential model_for_any_length(int threads = 0) {
  Sequential model({Input({12}), Reshape({-1, 1, 1}), Conv2D(6, {1, 1}, {.activation = relu}),
                    GlobalMaxPooling2D(), Dense(1, {.activation = sigmoid})},
                   {.threads = threads, .seed = 5});
  model.compile(
      {.optimizer = Adam({.learning_rate = 0.02}), .loss = BinaryCrossentropy(), .metrics = {accuracy}});
  return model;
}

DatasetPtr shared(SequenceDataset data) {
  return std::make_shared<SequenceDataset>(std::move(data));
}

FitOptions quiet(int epochs) {
  return {.epochs = epochs, .batch_size = 16, .verbose = Verbose::silent};
}

TEST(Buckets, TrainingLearnsAndEvaluationDoesNotDependOnThem) {
  const DatasetPtr in_buckets = shared(sequences({3, 6})), whole = shared(sequences({}));
  Sequential model = model_for_any_length();
  const Logs before = model.evaluate(whole);
  FitOptions options = quiet(20);
  options.validation_data = in_buckets;
  const History history = model.fit(in_buckets, options);
  EXPECT_EQ(history.samples, 200 * 20);
  const Logs a = model.evaluate(in_buckets), b = model.evaluate(whole);
  EXPECT_LT(a["loss"], 0.7 * before["loss"]);
  EXPECT_NEAR(a["loss"], b["loss"], 1e-6);
  EXPECT_EQ(a["accuracy"], b["accuracy"]);
  EXPECT_EQ(history["val_loss"].size(), 20u);
  EXPECT_EQ(model.predict(in_buckets).at(0).shape(), (Shape{200, 1}));
  const auto p = model.predict(in_buckets), q = model.predict(whole);
  EXPECT_TRUE(std::ranges::equal(p[0].data<float>(), q[0].data<float>()))
      << "predict() keeps the order of samples";
}

TEST(Buckets, EqualSeedsGiveEqualBits) {
  const DatasetPtr data = shared(sequences({2, 4, 8}));
  std::vector<float> first;
  for (const auto& [threads, prefetch] : {std::pair{1, 0}, {2, 3}}) {
    Sequential model = model_for_any_length(threads);
    FitOptions options = quiet(3);
    options.prefetch = prefetch;
    model.fit(data, options);
    const auto weights = model.weight("conv2d/kernel");
    if (first.empty()) first.assign(weights.data<float>().begin(), weights.data<float>().end());
    EXPECT_TRUE(std::ranges::equal(weights.data<float>(), first)) << threads;
  }
}

TEST(Buckets, WeightsAndSplitsKeepThem) {
  Sequential model = model_for_any_length();
  FitOptions options = quiet(1);
  options.validation_split = 0.25;
  options.class_weight = {{0, 0.5f}, {1, 2.0f}};
  EXPECT_EQ(model.fit(shared(sequences({3, 6})), options).samples, 150);

  // Weight 0 for all but one sample: the loss is its loss.
  std::vector<float> weights(200);
  weights[7] = 1;
  const Logs one = model.evaluate(shared(sequences({3, 6}, Tensor::of({200}, weights))));
  const Logs same = model.evaluate(data::subset(shared(sequences({})), 7, 8));
  EXPECT_NEAR(one["loss"] * 200, same["loss"], 1e-4 * same["loss"] + 1e-6);
}

TEST(Buckets, ALayerThatNeedsTheLengthSaysSo) {
  Sequential model({Input({12}), Dense(1, {.activation = sigmoid})});
  model.compile({.loss = BinaryCrossentropy()});
  EXPECT_NO_THROW(model.fit(shared(sequences({})), quiet(1)));
  EXPECT_THROW(model.fit(shared(sequences({6})), quiet(1)), ShapeError);
}

// Recurrent layers at several lengths; masked, so that the length of a bucket changes nothing.
TEST(Buckets, RecurrentLayersTakeEveryLength) {
  Sequential model({Input({12}, {.dtype = Dtype::i32}), Embedding(10, 5, {.mask_zero = true}), GRU(7),
                    Dense(1, {.activation = sigmoid})},
                   {.seed = 2});
  model.compile({.optimizer = Adam({.learning_rate = 0.02}), .loss = BinaryCrossentropy()});
  const DatasetPtr in_buckets = shared(sequences({3, 6})), whole = shared(sequences({}));
  const History history = model.fit(in_buckets, quiet(15));
  EXPECT_LT(history["loss"].back(), 0.8 * history["loss"].front());
  EXPECT_NEAR(model.evaluate(in_buckets)["loss"], model.evaluate(whole)["loss"], 1e-6);
}

TEST(Buckets, AnIdThatTheVocabularyDoesNotHaveIsToldInAnyBucket) {
  Sequential model({Input({12}, {.dtype = Dtype::i32}), Embedding(9, 5), GRU(7),
                    Dense(1, {.activation = sigmoid})});  // 9: none
  model.compile({.loss = BinaryCrossentropy()});
  EXPECT_THROW(model.fit(shared(sequences({3, 6})), quiet(1)), DataError);
  EXPECT_THROW(model.fit(shared(sequences({})), quiet(1)), DataError);
}

}  // namespace
}  // namespace gpunn
