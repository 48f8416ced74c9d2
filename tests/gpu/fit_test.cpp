// Small models of every kind trained by fit(): groups of steps that are one CUDA graph, on resident data
// whose rows are gathered on the device. Linked twice: for a real GPU, and for the software device.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "tests/gpu/fit_models.hpp"
#include "tests/gpu/on_device.hpp"
#include "tests/support/unresident.hpp"

namespace gpunn::tests {
namespace {

constexpr int kEpochs = 3, kGroup = 4;

using Values = std::vector<float>;

Values values_of(const Tensor& tensor) {
  const auto values = tensor.data<float>();
  return {values.begin(), values.end()};
}

struct Fitted {
  std::vector<double> losses;                          // of each epoch, in training and in validation
  std::vector<std::pair<std::string, Values>> values;  // weights by name, and predictions
  std::uint64_t launches = 0;                          // of graphs, by fit() until the end
};

Model compiled(const FitModel& model, const std::string& device, int steps_per_execution) {
  Model made = model.make(on(device));
  made.compile({.optimizer = model.optimizer,
                .loss = model.loss,
                .metrics = {accuracy},
                .steps_per_execution = steps_per_execution});
  return made;
}

void fit(Model& model, const DatasetPtr& samples, int from, int to, Fitted& run) {
  const std::uint64_t before = graph_launches().value_or(0);
  const History history = model.fit(samples, {.epochs = to,
                                              .batch_size = kFitBatch,
                                              .validation_split = kFitValidation,
                                              .verbose = Verbose::silent,
                                              .initial_epoch = from});
  run.launches += graph_launches().value_or(0) - before;
  for (const Logs& epoch : history.epochs()) {
    for (const char* name : {"loss", "val_loss"}) run.losses.push_back(epoch[name]);
  }
}

void finish(Model& model, const DatasetPtr& samples, Fitted& run) {
  for (const std::string& name : model.weight_names()) {
    run.values.emplace_back(name, values_of(std::as_const(model).weight(name)));
  }
  run.values.emplace_back("predictions", values_of(model.predict(samples).front()));
}

// In groups of steps; between two epochs the model is evaluated, and a clone of it predicts.
Fitted fit_in_groups(const FitModel& model, const std::string& device) {
  const DatasetPtr samples = model.samples();
  Model trained = compiled(model, device, kGroup);
  Fitted run;
  fit(trained, samples, 0, 1, run);
  Model clone = trained.clone_for_inference();
  EXPECT_EQ(values_of(clone.predict(samples).front()), values_of(trained.predict(samples).front()));
  EXPECT_TRUE(std::isfinite(trained.evaluate(samples, {.batch_size = kFitBatch})["loss"]));
  fit(trained, samples, 1, kEpochs, run);
  finish(trained, samples, run);
  EXPECT_EQ(values_of(clone.predict(samples).front()), run.values.back().second) << "the clone stood still";
  if (device != "cpu") {
    const std::string plan = trained.plan({.batch_size = kFitBatch, .data = samples}).text;
    EXPECT_NE(plan.find(model.planned), std::string::npos) << plan;
  }
  return run;
}

// One step after the other, each batch sent when its turn comes.
Fitted fit_streamed(const FitModel& model, const std::string& device) {
  const auto samples = std::make_shared<Unresident>(model.samples());
  Model trained = compiled(model, device, 1);
  Fitted run;
  fit(trained, samples, 0, 1, run);
  fit(trained, samples, 1, kEpochs, run);
  finish(trained, samples, run);
  return run;
}

double norm(const Values& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum);
}

// Rounding moves every loss a little. A weight whose gradient is nearly zero may be moved further by it,
// since Adam divides by the gradient's size: so weights are compared by the norm of each variable.
void expect_close(const Fitted& run, const Fitted& reference) {
  ASSERT_EQ(run.losses.size(), reference.losses.size());
  for (std::size_t i = 0; i < run.losses.size(); ++i)
    EXPECT_NEAR(run.losses[i], reference.losses[i], 1e-5 * std::abs(reference.losses[i])) << "loss " << i;
  ASSERT_EQ(run.values.size(), reference.values.size());
  for (std::size_t k = 0; k < run.values.size(); ++k) {
    const auto& [name, got] = run.values[k];
    const Values& want = reference.values[k].second;
    ASSERT_EQ(got.size(), want.size()) << name;
    Values difference;
    for (std::size_t i = 0; i < got.size(); ++i) difference.push_back(got[i] - want[i]);
    EXPECT_LE(norm(difference), 1e-4 * norm(want)) << name;
  }
}

void expect_same_bits(const Fitted& a, const Fitted& b) {
  EXPECT_EQ(a.losses, b.losses);
  EXPECT_EQ(a.values, b.values);
}

class Fit : public OnDevice, public ::testing::WithParamInterface<FitModel> {};

TEST_P(Fit, FollowsTheCpuAndRepeatsItsBits) {
  const FitModel& model = GetParam();
  const Fitted run = fit_in_groups(model, device_under_test());
  expect_close(run, fit_in_groups(model, "cpu"));
  EXPECT_LT(run.losses[2 * kEpochs - 2], run.losses[0]) << "it does not learn";
  {
    SCOPED_TRACE("again");
    expect_same_bits(run, fit_in_groups(model, device_under_test()));
  }
  SCOPED_TRACE("batch by batch");
  const Fitted streamed = fit_streamed(model, device_under_test());
  expect_same_bits(run, streamed);
  if (graph_launches()) {
    EXPECT_LT(run.launches, streamed.launches) << "no groups";
  }
}

using Clones = OnDevice;

TEST_F(Clones, PredictInAThreadOfTheirOwnWhileTheOriginalTrains) {
  const FitModel model = fit_models().front();
  const DatasetPtr samples = model.samples();
  const auto train = [&](bool watched) {
    Model original = compiled(model, device_under_test(), kGroup);
    std::atomic<bool> started = false, done = false;
    std::thread watcher;
    if (watched) {
      watcher = std::thread([&, clone = original.clone_for_inference()]() mutable {
        while (!done) {
          for (const float y : values_of(clone.predict(samples).front())) EXPECT_TRUE(y > 0 && y < 1) << y;
          started = true;
        }
      });
      while (!started) std::this_thread::yield();
    }
    Fitted run;
    fit(original, samples, 0, kEpochs, run);
    done = true;
    if (watched) watcher.join();
    finish(original, samples, run);
    return run;
  };
  expect_same_bits(train(true), train(false));
}

INSTANTIATE_TEST_SUITE_P(Models, Fit, ::testing::ValuesIn(fit_models()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace gpunn::tests
