// What fit() does: learns, counts samples rightly, divides data, calls back, stops.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <thread>

#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

using testing::ElementsAre;

TEST(Fit, Learns) {
  const Table data = table(400);
  Sequential model = compiled_ffn();
  const History history = model.fit(data.x, data.y, quietly({.epochs = 30}));
  EXPECT_GT(history["loss"].front(), 0.5);
  EXPECT_LT(history["loss"].back(), 0.25);
  EXPECT_GT(history["accuracy"].back(), 0.9);
  EXPECT_EQ(history.samples, 30 * 400);
  EXPECT_EQ(model.steps(), 30 * 13);
  EXPECT_GT(history.seconds, 0);
}

// An epoch's loss counts each sample once, whatever the batches: the last one is short here.
TEST(Fit, EpochAveragesCountSamples) {
  const Table data = table(70);
  Sequential model = ffn();
  model.compile(
      {.optimizer = SGD({.learning_rate = 0}), .loss = BinaryCrossentropy(), .metrics = {accuracy}});
  const Tensor p = model.predict(data.x);
  double loss = 0, hits = 0;
  for (std::size_t r = 0; r < 70; ++r) {
    const double y = data.y.data<float>()[r], q = p.data<float>()[r];
    loss -= y * std::log(q) + (1 - y) * std::log(1 - q);
    hits += (q > 0.5) == (y > 0.5);
  }
  for (const std::int64_t batch : {1, 7, 32, 70, 100}) {
    const History history = model.fit(data.x, data.y, quietly({.batch_size = batch}));
    EXPECT_NEAR(history["loss"][0], loss / 70, 1e-5) << batch;
    EXPECT_NEAR(history["accuracy"][0], hits / 70, 1e-12) << batch;
    const Logs evaluated = model.evaluate(data.x, data.y, {.batch_size = batch});
    EXPECT_NEAR(evaluated["loss"], loss / 70, 1e-5) << batch;
    EXPECT_NEAR(evaluated["accuracy"], hits / 70, 1e-12) << batch;
  }
}

TEST(Fit, SpansTensorsAndDatasetsAreTheSame) {
  const Table data = table(50);
  Sequential a = compiled_ffn(), b = compiled_ffn(), c = compiled_ffn();
  a.fit(data.dataset(), quietly({.epochs = 2}));
  b.fit(data.x, data.y, quietly({.epochs = 2}));
  c.fit(data.x.data<float>(), data.y.data<float>(), quietly({.epochs = 2}));
  EXPECT_TRUE(same_bits(weights(a), weights(b)));
  EXPECT_TRUE(same_bits(weights(a), weights(c)));
}

TEST(Fit, TwoCallsAreOneLongCall) {
  const Table data = table(90);
  Sequential once = compiled_ffn(), twice = compiled_ffn();
  once.fit(data.x, data.y, quietly({.epochs = 4}));
  twice.fit(data.x, data.y, quietly({.epochs = 2}));
  twice.fit(data.x, data.y, quietly({.epochs = 4, .initial_epoch = 2}));
  EXPECT_TRUE(same_bits(weights(once), weights(twice)));
}

TEST(Fit, ValidationSplitTakesTheLastSamples) {
  const Table data = table(100);
  Sequential split = compiled_ffn(), given = compiled_ffn();
  const History a = split.fit(data.x, data.y, quietly({.epochs = 2, .validation_split = 0.2}));
  const auto last = std::make_shared<TensorDataset>(data.x.rows(80, 100), data.y.rows(80, 100));
  const History b =
      given.fit(data.x.rows(0, 80), data.y.rows(0, 80), quietly({.epochs = 2, .validation_data = last}));
  EXPECT_EQ(a["val_loss"], b["val_loss"]);
  EXPECT_EQ(a["loss"], b["loss"]);
  std::vector<std::string> names;
  for (const auto& [name, value] : a.epochs()[0].items()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("loss", "accuracy", "val_loss", "val_accuracy"));
}

// Weights of 2 double the gradients, and a learning rate half as large makes up for it, to the bit.
TEST(Fit, SampleWeightsScaleTheLoss) {
  const Table data = table(64);
  Tensor twos(Shape{64});
  for (float& w : twos.data<float>()) w = 2;
  Sequential plain = ffn(), weighted = ffn();
  plain.compile({.optimizer = SGD({.learning_rate = 0.5}), .loss = BinaryCrossentropy()});
  weighted.compile({.optimizer = SGD({.learning_rate = 0.25}), .loss = BinaryCrossentropy()});
  const History a = plain.fit(data.x, data.y, quietly({.epochs = 3}));
  const History b = weighted.fit(data.x, data.y, quietly({.epochs = 3, .sample_weight = twos}));
  EXPECT_TRUE(same_bits(weights(plain), weights(weighted)));
  EXPECT_EQ(2 * a["loss"][0], b["loss"][0]);
}

TEST(Fit, ClassWeightsAreSampleWeightsByLabel) {
  const Table data = table(64);
  Tensor by_label(Shape{64});
  for (std::size_t r = 0; r < 64; ++r) by_label.data<float>()[r] = data.y.data<float>()[r] == 1 ? 3.0f : 0.5f;
  Sequential a = compiled_ffn(), b = compiled_ffn(), c = compiled_ffn();
  a.fit(data.x, data.y, quietly({.epochs = 2, .class_weight = {{0, 0.5f}, {1, 3.0f}}}));
  b.fit(data.x, data.y, quietly({.epochs = 2, .sample_weight = by_label}));
  EXPECT_TRUE(same_bits(weights(a), weights(b)));
  c.fit(data.x, data.y, quietly({.epochs = 2}));
  EXPECT_FALSE(same_bits(weights(a), weights(c)));
  // A part of a data set takes the way through read(), with the same result.
  Sequential d = compiled_ffn();
  const Table more = table(80);
  d.fit(data::subset(more.dataset(), 0, 64), quietly({.epochs = 2, .class_weight = {{0, 0.5f}, {1, 3.0f}}}));
  EXPECT_TRUE(same_bits(weights(a), weights(d)));
}

TEST(Fit, WeightsMultiply) {
  const Table data = table(64);
  Tensor own(Shape{64}), product(Shape{64});
  for (std::size_t r = 0; r < 64; ++r) {
    own.data<float>()[r] = static_cast<float>(r % 4);
    product.data<float>()[r] = own.data<float>()[r] * (data.y.data<float>()[r] == 1 ? 2.0f : 1.0f) * 0.5f;
  }
  Tensor halves(Shape{64});
  for (float& w : halves.data<float>()) w = 0.5f;
  const auto weighted = std::make_shared<TensorDataset>(
      TensorDataset::Columns{.inputs = {data.x}, .targets = {data.y}, .weights = own});
  Sequential a = compiled_ffn(), b = compiled_ffn();
  a.fit(weighted, quietly({.class_weight = {{1, 2.0f}}, .sample_weight = halves}));
  b.fit(data.x, data.y, quietly({.sample_weight = product}));
  EXPECT_TRUE(same_bits(weights(a), weights(b)));
}

class Recorder final : public Callback {
 public:
  explicit Recorder(bool batches) : batches_(batches) {}
  void on_train_begin(Model&) override { calls.push_back("train"); }
  void on_epoch_begin(Model&, int epoch) override { calls.push_back("epoch " + std::to_string(epoch)); }
  void on_train_batch_end(Model& model, std::int64_t batch, const Logs& logs) override {
    EXPECT_TRUE(std::isfinite(logs["loss"]));
    calls.push_back("batch " + std::to_string(batch));
    if (static_cast<int>(calls.size()) >= stop_after) model.stop_training();
  }
  void on_epoch_end(Model&, int epoch, const Logs& logs) override {
    EXPECT_TRUE(logs.contains("accuracy"));
    calls.push_back("end " + std::to_string(epoch));
  }
  void on_train_end(Model&) override { calls.push_back("done"); }
  bool wants_batches() const override { return batches_; }

  std::vector<std::string> calls;
  int stop_after = 1000;

 private:
  bool batches_;
};

TEST(Fit, CallbacksComeInOrder) {
  const Table data = table(60);
  Sequential model = ffn();
  TrainingOptions training = binary_training();
  training.steps_per_execution = 2;
  model.compile(training);
  auto all = std::make_shared<Recorder>(true), epochs = std::make_shared<Recorder>(false);
  model.fit(data.x, data.y, quietly({.epochs = 2, .batch_size = 15, .callbacks = {all, epochs}}));
  EXPECT_THAT(all->calls, ElementsAre("train", "epoch 0", "batch 1", "batch 3", "end 0", "epoch 1", "batch 1",
                                      "batch 3", "end 1", "done"));
  EXPECT_THAT(epochs->calls, ElementsAre("train", "epoch 0", "end 0", "epoch 1", "end 1", "done"));
}

// As in Keras: the last group of an epoch may be short, and is a group.
TEST(Fit, AShortLastGroupIsCalledBackToo) {
  const Table data = table(60);
  Sequential model = ffn();
  TrainingOptions training = binary_training();
  training.steps_per_execution = 3;
  model.compile(training);
  auto recorder = std::make_shared<Recorder>(true);
  model.fit(data.x, data.y, quietly({.epochs = 2, .batch_size = 15, .callbacks = {recorder}}));
  EXPECT_THAT(recorder->calls, ElementsAre("train", "epoch 0", "batch 2", "batch 3", "end 0", "epoch 1",
                                           "batch 2", "batch 3", "end 1", "done"));
}

TEST(Fit, StepsPerExecutionChangesNoBit) {
  const Table data = table(60);
  Sequential one = compiled_ffn(), many = ffn();
  TrainingOptions training = binary_training();
  training.steps_per_execution = 7;
  many.compile(training);
  one.fit(data.x, data.y, quietly({.epochs = 3, .batch_size = 8}));
  many.fit(data.x, data.y, quietly({.epochs = 3, .batch_size = 8}));
  EXPECT_TRUE(same_bits(weights(one), weights(many)));
}

TEST(Fit, StopTrainingEndsAfterTheStep) {
  const Table data = table(60);
  Sequential model = compiled_ffn();
  auto recorder = std::make_shared<Recorder>(true);
  recorder->stop_after = 4;
  const History history =
      model.fit(data.x, data.y, quietly({.epochs = 5, .batch_size = 15, .callbacks = {recorder}}));
  EXPECT_THAT(recorder->calls, ElementsAre("train", "epoch 0", "batch 0", "batch 1", "end 0", "done"));
  EXPECT_EQ(model.steps(), 2);
  EXPECT_FALSE(history.interrupted);
}

TEST(Fit, EarlyStoppingRestoresTheBestWeights) {
  const Table data = table(40);
  Sequential model = ffn();
  // A rate at which the loss soon rises again.
  model.compile(
      {.optimizer = SGD({.learning_rate = 200}), .loss = BinaryCrossentropy(), .metrics = {accuracy}});
  const History history =
      model.fit(data.x, data.y,
                quietly({.epochs = 100,
                         .validation_data = data.dataset(),
                         .callbacks = {EarlyStopping({.patience = 2, .restore_best_weights = true})}}));
  const auto losses = history["val_loss"];
  ASSERT_LT(losses.size(), 100u);
  const double best = *std::min_element(losses.begin(), losses.end());
  EXPECT_EQ(losses[losses.size() - 3], best);
  EXPECT_EQ(model.evaluate(data.x, data.y)["loss"], best);
}

TEST(Fit, EarlyStoppingWaitsForRealImprovement) {
  const Table data = table(40);
  Sequential model = ffn();
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = BinaryCrossentropy()});
  const auto epochs = [&](int patience) {
    return model
        .fit(data.x, data.y,
             quietly({.epochs = 9,
                      .validation_data = data.dataset(),
                      .callbacks = {EarlyStopping({.patience = patience})}}))
        .epochs()
        .size();
  };
  EXPECT_EQ(epochs(0), 2u);
  EXPECT_EQ(epochs(3), 4u);
}

// What the steps before an exception measured is not part of the next run.
TEST(Fit, AFailedFitLeavesNothingBehind) {
  class ThrowOnce final : public Dataset {
   public:
    explicit ThrowOnce(DatasetPtr whole) : whole_(std::move(whole)) {}
    std::int64_t size() const override { return whole_->size(); }
    std::vector<Field> inputs() const override { return whole_->inputs(); }
    std::vector<Field> targets() const override { return whole_->targets(); }
    void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const override {
      if (++reads_ == 3) throw DataError("the third read fails");
      whole_->read(rows, fields);
    }

   private:
    DatasetPtr whole_;
    mutable std::atomic<int> reads_{0};
  };
  const Table data = table(64);
  Sequential model = ffn();
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = BinaryCrossentropy()});
  const FitOptions options = quietly({.batch_size = 16, .shuffle = false});
  const auto failing = std::make_shared<ThrowOnce>(table(64).dataset());
  const std::string message = message_of<DataError>([&] { model.fit(failing, options); });
  EXPECT_THAT(message, testing::HasSubstr("third read"));
  EXPECT_EQ(model.steps(), 2);
  // Other labels: leftovers would show.
  Tensor flipped(Shape{64, 1});
  for (std::size_t r = 0; r < 64; ++r) flipped.data<float>()[r] = 1 - data.y.data<float>()[r];
  const auto read_again = std::make_shared<ThrowOnce>(std::make_shared<TensorDataset>(data.x, flipped));
  Sequential fresh = ffn();
  fresh.compile({.optimizer = SGD({.learning_rate = 0}), .loss = BinaryCrossentropy()});
  const double expected = fresh.fit(data.x, flipped, options)["loss"][0];
  EXPECT_EQ(model.fit(data.x, flipped, options)["loss"][0], expected);
  EXPECT_THROW(model.fit(read_again, options), DataError);
  EXPECT_EQ(model.fit(data.x, data.y, options)["loss"][0], fresh.fit(data.x, data.y, options)["loss"][0]);
}

// Ctrl-C in the middle of an epoch: the step in progress ends, the model is whole.
TEST(Fit, ASignalStopsAtTheStep) {
  class RaiseAt final : public Callback {
   public:
    void on_train_batch_end(Model&, std::int64_t batch, const Logs&) override {
      if (batch == 2) std::raise(SIGINT);
    }
    bool wants_batches() const override { return true; }
  };
  const Table data = table(100);
  Sequential model = compiled_ffn();
  const StopOnSignal stop;
  EXPECT_FALSE(stop.stopped());
  const History history = model.fit(
      data.x, data.y,
      quietly(
          {.epochs = 3, .batch_size = 10, .callbacks = {std::make_shared<RaiseAt>()}, .stop = &stop.flag()}));
  EXPECT_TRUE(history.interrupted);
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(model.steps(), 4);
  EXPECT_TRUE(history.empty());
  model.fit(data.x, data.y, quietly({}));  // goes on
  EXPECT_EQ(model.steps(), 8);
}

// A group that is longer than an epoch ends with it.
TEST(Fit, ASignalStopsBetweenEpochsOfOneGroup) {
  class StopAt final : public Callback {
   public:
    explicit StopAt(std::atomic<bool>& flag) : flag_(flag) {}
    void on_epoch_begin(Model&, int epoch) override {
      if (epoch == 1) flag_ = true;
    }

   private:
    std::atomic<bool>& flag_;
  };
  const Table data = table(100);
  Sequential model = ffn();
  TrainingOptions training = binary_training();
  training.steps_per_execution = 200;
  model.compile(training);
  std::atomic<bool> stop = false;
  const History history = model.fit(
      data.x, data.y,
      quietly({.epochs = 5, .batch_size = 10, .callbacks = {std::make_shared<StopAt>(stop)}, .stop = &stop}));
  EXPECT_TRUE(history.interrupted);
  EXPECT_EQ(model.steps(), 20);
}

// Data whose read number `at` asks for an end, as a Ctrl-C would.
class StopsAtRead final : public Dataset {
 public:
  StopsAtRead(DatasetPtr whole, int at, std::atomic<bool>& stop)
      : whole_(std::move(whole)), at_(at), stop_(stop) {}
  std::int64_t size() const override { return whole_->size(); }
  std::vector<Field> inputs() const override { return whole_->inputs(); }
  std::vector<Field> targets() const override { return whole_->targets(); }
  void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const override {
    if (++reads == at_) stop_ = true;
    whole_->read(rows, fields);
  }
  mutable std::atomic<int> reads{0};

 private:
  DatasetPtr whole_;
  int at_;
  std::atomic<bool>& stop_;
};

TEST(Fit, ASignalDuringValidationStops) {
  const Table data = table(100);
  for (const int at : {2, 10, 12}) {  // in the middle, with the last batch, in the second epoch
    Sequential model = compiled_ffn();
    std::atomic<bool> stop = false;
    const auto validation = std::make_shared<StopsAtRead>(data.dataset(), at, stop);
    auto recorder = std::make_shared<Recorder>(false);
    const History history = model.fit(data.x, data.y,
                                      quietly({.epochs = 3,
                                               .batch_size = 10,
                                               .validation_data = validation,
                                               .callbacks = {recorder},
                                               .prefetch = 0,
                                               .stop = &stop}));
    EXPECT_TRUE(history.interrupted) << at;
    EXPECT_EQ(validation->reads, at);
    EXPECT_EQ(history.epochs().size(), at == 12 ? 1u : 0u);
    EXPECT_EQ(model.steps(), at == 12 ? 20 : 10);
    EXPECT_EQ(recorder->calls.back(), "done");
  }
}

TEST(Fit, ASignalStopsAnEvaluation) {
  const Table data = table(100);
  Sequential model = compiled_ffn();
  std::atomic<bool> stop = false;
  const auto test = std::make_shared<StopsAtRead>(data.dataset(), 3, stop);
  const Logs logs = model.evaluate(test, {.batch_size = 10, .prefetch = 0, .stop = &stop});
  EXPECT_EQ(test->reads, 3);
  const Logs first = model.evaluate(data.x.rows(0, 30), data.y.rows(0, 30), {.batch_size = 10});
  EXPECT_EQ(logs["loss"], first["loss"]);
}

// What is written next, by whomever, begins on a line of its own.
TEST(Fit, TheBarIsClosedWhateverEndsIt) {
  class SlowData final : public Unresident {
   public:
    using Unresident::Unresident;
    void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const override {
      std::this_thread::sleep_for(std::chrono::milliseconds(110));  // the bar is drawn after it
      Unresident::read(rows, fields);
    }
  };
  class EndsIt final : public Callback {
   public:
    EndsIt(std::atomic<bool>& stop, bool fails) : stop_(stop), fails_(fails) {}
    void on_train_batch_end(Model&, std::int64_t, const Logs&) override {
      if (fails_) throw UsageError("enough");
      stop_ = true;
    }
    void on_train_end(Model&) override { std::fputs("told at the end\n", stderr); }
    bool wants_batches() const override { return true; }

   private:
    std::atomic<bool>& stop_;
    bool fails_;
  };
  const auto data = std::make_shared<SlowData>(table(100).dataset());
  for (const bool fails : {false, true}) {
    Sequential model = compiled_ffn();
    std::atomic<bool> stop = false;
    testing::internal::CaptureStderr();
    try {
      model.fit(data, {.batch_size = 10,
                       .callbacks = {std::make_shared<EndsIt>(stop, fails)},
                       .verbose = Verbose::bar,
                       .prefetch = 0,
                       .stop = &stop});
    } catch (const UsageError&) {
      std::fputs("told at the end\n", stderr);
    }
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_THAT(text, testing::HasSubstr("loss: "));
    EXPECT_THAT(text, testing::HasSubstr("\ntold at the end\n"));
  }
}

TEST(Fit, ReportsDivergence) {
  const Table data = table(40);
  Sequential model({Input({10}), Dense(1)}, {.device = "cpu"});
  model.compile({.optimizer = SGD({.learning_rate = 1e29}), .loss = MeanSquaredError()});
  const auto fit = [&](bool terminate) {
    return model.fit(data.x, data.y, quietly({.epochs = 5, .terminate_on_nan = terminate}));
  };
  std::vector<std::string> messages;
  set_log_sink([&](LogLevel, std::string_view message) { messages.emplace_back(message); });
  const History history = fit(false);
  set_log_sink({});
  EXPECT_EQ(messages.size(), 1u);
  EXPECT_TRUE(std::isnan(history["loss"].back()));
  EXPECT_THAT(message_of<Diverged>([&] { fit(true); }),
              testing::HasSubstr("no longer finite, by step 1 of epoch 1"));
}

// Uses the model in between, on other data in batches of the same shape, as tests of one's own do.
class Evaluates final : public Callback {
 public:
  void on_train_begin(Model& model) override { use(model); }
  void on_epoch_begin(Model& model, int) override { use(model); }
  void on_epoch_end(Model& model, int, const Logs&) override { use(model); }

 private:
  static void use(Model& model) {
    Table other = table(24);
    std::ranges::fill(other.y.data<float>(), 1.0f);
    model.evaluate(other.x, other.y, {.batch_size = 8, .verbose = Verbose::silent});
    model.predict(other.x, {.batch_size = 8});
  }
};

TEST(Fit, ValidationDataOverridesTheSplit) {
  const Table data = table(40);
  const auto run = [&](double split) {
    Sequential model = compiled_ffn();
    FitOptions options = quietly({.epochs = 2, .batch_size = 8, .validation_split = split});
    options.validation_data = data.dataset();
    model.fit(data.x, data.y, options);
    return weights(model);
  };
  EXPECT_TRUE(same_bits(run(0), run(0.5)));  // all samples were trained on
}

TEST(Fit, CallbacksThatUseTheModelChangeNothing) {
  const Table data = table(40);
  const auto run = [&](bool watched) {
    Sequential model = compiled_ffn();
    FitOptions options = quietly({.epochs = 3, .batch_size = 8});
    options.validation_data = data::subset(data.dataset(), 0, 16);
    if (watched) options.callbacks = {std::make_shared<Evaluates>()};
    const History history = model.fit(data.x, data.y, options);
    return std::pair(history["val_loss"], weights(model));
  };
  const auto [loss, plain] = run(false);
  const auto [watched_loss, watched] = run(true);
  EXPECT_EQ(loss, watched_loss);
  EXPECT_TRUE(same_bits(plain, watched));
}

}  // namespace
}  // namespace gpunn
