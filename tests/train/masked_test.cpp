// Steps of padding count neither in the loss nor in metrics, where the output still knows of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/mask_flow_golden.hpp"
#include "tests/support/masked_golden.hpp"
#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

TEST(MaskedOutput, EvaluatesAndTrainsAsKeras) {
  golden::expect_masked_training("cpu");
}

TEST(Masks, GoWhereKerasTakesThem) {
  golden::expect_mask_flow("cpu");
}

// A tagger: a label for every token, 0 is padding.
Sequential tagger(int threads = 1) {
  Sequential model({Input({6}, {.dtype = Dtype::i32}), Embedding(9, 4, {.mask_zero = true}),
                    LSTM(5, {.return_sequences = true}), Dense(3, {.activation = softmax})},
                   {.device = "cpu", .threads = threads, .seed = 2});
  model.compile({.optimizer = Adam({.learning_rate = 0.05}),
                 .loss = SparseCategoricalCrossentropy(),
                 .metrics = {accuracy}});
  return model;
}

// `padding`: of each sample, behind. Labels of padding are `label`.
Table tagged(std::int64_t samples, std::int64_t padding, std::int32_t label) {
  Table t{Tensor({samples, 6}, Dtype::i32), Tensor({samples, 6}, Dtype::i32)};
  for (std::int64_t i = 0; i < samples * 6; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const bool real = i % 6 < 6 - padding;
    const auto token = static_cast<std::int32_t>(1 + philox({.seed = 4}, at)[0] % 8);
    t.x.data<std::int32_t>()[at] = real ? token : 0;
    t.y.data<std::int32_t>()[at] = real ? token % 3 : label;
  }
  return t;
}

TEST(MaskedOutput, WhatLabelsOfPaddingSayIsAllTheSame) {
  const auto trained = [](std::int32_t label) {
    Sequential model = tagger();
    const Table t = tagged(20, 3, label);
    model.fit(t.x, t.y, quietly({.epochs = 2, .batch_size = 8}));
    return weights(model);
  };
  EXPECT_TRUE(same_bits(trained(0), trained(2)));
}

TEST(MaskedOutput, LearnsEveryRealTag) {
  Sequential model = tagger();
  const Table t = tagged(64, 2, 0);
  const History history = model.fit(t.x, t.y, quietly({.epochs = 20}));
  EXPECT_EQ(history["accuracy"].back(), 1);
  EXPECT_EQ(model.evaluate(t.x, t.y, {.verbose = Verbose::silent})["accuracy"], 1);
}

TEST(MaskedOutput, ABatchOfPaddingTeachesNothing) {
  Sequential model = tagger();
  const std::vector<float> before = weights(model);
  const Table t = tagged(5, 6, 1);
  const Logs logs = model.train_on_batch(t.x, t.y);
  EXPECT_EQ(logs["loss"], 0);
  EXPECT_EQ(logs["accuracy"], 0);
  EXPECT_TRUE(same_bits(weights(model), before));
}

TEST(MaskedOutput, WeightsOfClassesNeedOneLabelPerSample) {
  Sequential model = tagger();
  const Table t = tagged(8, 2, 0);
  EXPECT_THAT(message_of<UsageError>([&] {
                model.fit(t.x, t.y, quietly({.class_weight = {{0, 2.0f}}}));
              }),
              ::testing::HasSubstr("class_weight needs one label per sample; the model's output is [6, 3]"));
}

TEST(MaskedOutput, WeightsDoNotDependOnThreads) {
  const auto trained = [](int threads) {
    Sequential model = tagger(threads);
    const Table t = tagged(50, 3, 0);
    model.fit(t.x, t.y, quietly({.epochs = 2, .batch_size = 24}));
    return weights(model);
  };
  const std::vector<float> one = trained(1);
  for (const int threads : {2, 5}) EXPECT_TRUE(same_bits(one, trained(threads))) << threads;
}

}  // namespace
}  // namespace gpunn
