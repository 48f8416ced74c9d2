// Losses, metrics, optimizers and layers with state, in a whole model, against formulas.

#include "src/train/objectives.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

Sequential linear_model(std::int64_t outputs, ActivationFunction activation = linear) {
  return Sequential({Input({10}), Dense(outputs, {.activation = activation})}, {.device = "cpu", .seed = 4});
}

TEST(Objectives, AccuracyBecomesTheKindKerasChooses) {
  const auto kind = [](const Loss& loss, std::int64_t outputs) {
    return train::resolve(accuracy, loss, {Shape{outputs}});
  };
  EXPECT_EQ(kind(SparseCategoricalCrossentropy(), 10), sparse_categorical_accuracy);
  EXPECT_EQ(kind(CategoricalCrossentropy(), 10), categorical_accuracy);
  EXPECT_EQ(kind(BinaryCrossentropy(), 1), binary_accuracy);
  EXPECT_EQ(kind(MeanSquaredError(), 1), binary_accuracy);
  EXPECT_EQ(train::resolve(categorical_accuracy, BinaryCrossentropy(), {Shape{1}}), categorical_accuracy);
}

// Its weights, and its moments: the next step is that of a model which never met the batch, but for the
// count.
TEST(Objectives, AStepThatIsNotFiniteIsSkipped) {
  const Table data = table(30);
  Tensor huge = data.y.clone();
  huge.data<float>()[3] = 3e38f;
  Sequential met = linear_model(1), never = linear_model(1);
  for (Sequential* model : {&met, &never}) {
    model->compile({.optimizer = SGD({.learning_rate = 0.01, .momentum = 0.9, .skip_nonfinite = true}),
                    .loss = MeanSquaredError()});
    model->train_on_batch(data.x, data.y);
  }
  EXPECT_FALSE(std::isfinite(met.train_on_batch(data.x, huge)["loss"]));
  EXPECT_EQ(met.train_on_batch(data.x, data.y)["loss"], never.train_on_batch(data.x, data.y)["loss"]);
  EXPECT_EQ(met.train_on_batch(data.x, data.y)["loss"], never.train_on_batch(data.x, data.y)["loss"]);
  EXPECT_TRUE(train::optimizer_from(train::to_json(Adam({.skip_nonfinite = true}))).skip_nonfinite);
  EXPECT_FALSE(train::optimizer_from(train::to_json(Adam())).skip_nonfinite);
}

TEST(Objectives, LogitsAndProbabilitiesAgree) {
  const Table data = table(30);
  Sequential logits = linear_model(1), probabilities = linear_model(1, sigmoid);
  logits.compile({.optimizer = SGD(), .loss = BinaryCrossentropy({.from_logits = true})});
  probabilities.compile({.optimizer = SGD(), .loss = BinaryCrossentropy()});
  for (int i = 0; i < 5; ++i) {
    const double a = logits.train_on_batch(data.x, data.y)["loss"];
    const double b = probabilities.train_on_batch(data.x, data.y)["loss"];
    EXPECT_NEAR(a, b, 1e-6);
  }
}

TEST(Objectives, SparseAndOneHotLabelsAgree) {
  const Table data = table(30);
  Tensor classes(Shape{30}, Dtype::i32), one_hot(Shape{30, 3});
  for (std::size_t r = 0; r < 30; ++r) {
    classes.data<std::int32_t>()[r] = static_cast<std::int32_t>(r % 3);
    one_hot.data<float>()[3 * r + r % 3] = 1;
  }
  Sequential sparse = linear_model(3, softmax), dense = linear_model(3, softmax);
  sparse.compile({.optimizer = SGD(), .loss = SparseCategoricalCrossentropy(), .metrics = {accuracy}});
  dense.compile({.optimizer = SGD(), .loss = CategoricalCrossentropy(), .metrics = {accuracy}});
  const FitOptions options = quietly({.epochs = 3, .class_weight = {{1, 5.0f}, {2, 0.5f}}});
  const History a = sparse.fit(data.x, classes, options), b = dense.fit(data.x, one_hot, options);
  EXPECT_NEAR(a["loss"].back(), b["loss"].back(), 1e-6);
  EXPECT_EQ(a["accuracy"].back(), b["accuracy"].back());
  EXPECT_NE(a["loss"].back(), sparse.evaluate(data.x, classes)["loss"]);  // the weights did count
}

TEST(Objectives, LabelsAreSmoothed) {
  const Table data = table(30);
  Sequential model = linear_model(1, sigmoid);
  model.compile({.optimizer = SGD(), .loss = BinaryCrossentropy({.label_smoothing = 0.2})});
  const Tensor p = model.predict(data.x);
  double loss = 0;
  for (std::size_t r = 0; r < 30; ++r) {
    const double q = p.data<float>()[r], y = 0.8 * data.y.data<float>()[r] + 0.1;
    loss -= (y * std::log(q) + (1 - y) * std::log(1 - q)) / 30;
  }
  EXPECT_NEAR(model.evaluate(data.x, data.y)["loss"], loss, 1e-6);
}

double change(const std::vector<float>& before, const std::vector<float>& after) {
  double sum = 0;
  for (std::size_t i = 0; i < before.size(); ++i) sum += std::pow(double{after[i]} - before[i], 2);
  return std::sqrt(sum);
}

TEST(Objectives, GradientsAreClippedByTheirCommonNorm) {
  const Table data = table(30);
  for (const double clip : {0.001, 1e6}) {
    Sequential model = linear_model(4), plain = linear_model(4);
    const Tensor y(Shape{30, 4});
    model.compile(
        {.optimizer = SGD({.learning_rate = 0.5, .global_clipnorm = clip}), .loss = MeanSquaredError()});
    plain.compile({.optimizer = SGD({.learning_rate = 0.5}), .loss = MeanSquaredError()});
    const std::vector<float> before = weights(model);
    model.train_on_batch(data.x, y);
    plain.train_on_batch(data.x, y);
    const double free = change(before, weights(plain));
    EXPECT_GT(free, 0.01);
    EXPECT_NEAR(change(before, weights(model)), std::min(free, 0.5 * clip), 1e-6);
  }
}

// fit() over batches in order is train_on_batch() on each: the step counter of Adam, dropout's numbers,
// momentum.
TEST(Objectives, FitIsTrainOnBatchInOrder) {
  const Table data = table(64);
  const auto make = [] {
    Sequential model(
        {Input({10}), Dense(8, {.activation = relu}), Dropout(0.4), Dense(1, {.activation = sigmoid})},
        {.device = "cpu"});
    model.compile(binary_training());
    return model;
  };
  Sequential fitted = make(), stepped = make();
  fitted.fit(data.x, data.y, quietly({.epochs = 2, .batch_size = 16, .shuffle = false}));
  for (int i = 0; i < 8; ++i) {
    const std::int64_t begin = i % 4 * 16;
    stepped.train_on_batch(data.x.rows(begin, begin + 16), data.y.rows(begin, begin + 16));
  }
  EXPECT_TRUE(same_bits(weights(fitted), weights(stepped)));
}

TEST(Objectives, LearningRatesCanBeScheduled) {
  class Halve final : public Callback {
   public:
    void on_epoch_begin(Model& model, int epoch) override { model.set_learning_rate(epoch == 0 ? 0.5 : 0.0); }
  };
  const Table data = table(30);
  Sequential model = ffn();
  model.compile({.optimizer = SGD({.learning_rate = 9}), .loss = BinaryCrossentropy()});
  const std::vector<float> before = weights(model);
  model.fit(data.x, data.y, quietly({.epochs = 1, .callbacks = {std::make_shared<Halve>()}}));
  const std::vector<float> middle = weights(model);
  EXPECT_FALSE(same_bits(before, middle));
  model.fit(data.x, data.y,
            quietly({.epochs = 3, .callbacks = {std::make_shared<Halve>()}, .initial_epoch = 1}));
  EXPECT_TRUE(same_bits(middle, weights(model)));
}

TEST(Objectives, BatchNormalizationMovesItsStatisticsAndUsesThem) {
  const Table data = table(40);
  Sequential model({Input({10}), BatchNormalization({.momentum = 0.5})}, {.device = "cpu"});
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = MeanSquaredError()});
  model.train_on_batch(data.x, Tensor(Shape{40, 10}));
  double mean = 0, variance = 0;
  for (std::size_t r = 0; r < 40; ++r) mean += data.x.data<float>()[10 * r + 3] / 40.0;
  for (std::size_t r = 0; r < 40; ++r) variance += std::pow(data.x.data<float>()[10 * r + 3] - mean, 2) / 40;
  const double moving_mean = 0.5 * mean, moving_variance = 0.5 + 0.5 * variance;
  EXPECT_NEAR(model.weight("batch_normalization/moving_mean").data<float>()[3], moving_mean, 1e-6);
  EXPECT_NEAR(model.weight("batch_normalization/moving_variance").data<float>()[3], moving_variance, 1e-6);
  const double y = (data.x.data<float>()[3] - moving_mean) / std::sqrt(moving_variance + 1e-3);
  EXPECT_NEAR(model.predict(data.x).data<float>()[3], y, 1e-5);
  EXPECT_EQ(model.count_params(), 40);
}

}  // namespace
}  // namespace gpunn
