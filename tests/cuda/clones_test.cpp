// Clones for inference share the weights in the memory of the device: in threads of their own, while the
// original trains, and after it is gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <gpunn/gpunn.hpp>
#include <memory>
#include <optional>
#include <thread>

#include "simt/simt.hpp"
#include "tests/cuda/devices.hpp"

namespace gpunn {
namespace {

Tensor ramp(const Shape& shape) {
  Tensor x(shape);
  const auto values = x.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 13) / 13;
  return x;
}

// y = w x, all of w equal and moved alike by each step: a step that is seen in half shows.
constexpr std::int64_t kUnits = 96, kInputs = 8, kRows = 4;

Sequential make_model(const std::string& device, int steps_per_execution = 1) {
  Sequential model({Input({kInputs}), Dense(kUnits), Dense(kUnits)}, {.device = device, .threads = 1});
  for (const char* name : {"dense/kernel", "dense_1/kernel"}) {
    Tensor kernel = model.weight(name);
    std::ranges::fill(kernel.data<float>(), 0.125f);
  }
  model.compile({.optimizer = SGD({.learning_rate = 1e-4}),
                 .loss = MeanSquaredError(),
                 .steps_per_execution = steps_per_execution});
  return model;
}

Tensor ones(const Shape& shape) {
  Tensor x(shape);
  std::ranges::fill(x.data<float>(), 1.0f);
  return x;
}

std::vector<float> values_of(const Tensor& tensor) {
  const auto values = tensor.data<float>();
  return {values.begin(), values.end()};
}

class CudaClones : public ::testing::TestWithParam<simt::Streams> {
 protected:
  void SetUp() override {
    register_devices();
    simt::Options options = simt::options();
    options.streams = GetParam();
    simt::set_options(options);
    reports_ = simt::report_count();
  }
  void TearDown() override {
    EXPECT_EQ(simt::report_count(), reports_) << simt::last_report();
    simt::set_options(simt::Options::from_environment());
  }
  std::size_t reports_ = 0;
};

TEST_P(CudaClones, PredictWhatTheOriginalPredicts) {
  Sequential model = make_model("sim");
  Model early = model.clone_for_inference();  // before there is anything on the device
  const Tensor x = ramp({kRows, kInputs}), y = ones({kRows, kUnits});
  EXPECT_EQ(values_of(early.predict(x)), values_of(model.predict(x)));
  model.fit(x, y, {.epochs = 3, .batch_size = kRows, .verbose = Verbose::silent});
  Model late = model.clone_for_inference();
  const auto want = values_of(model.predict(x));
  EXPECT_EQ(values_of(early.predict(x)), want) << "it follows the training";
  EXPECT_EQ(values_of(late.predict(x)), want);
  // What the host writes reaches all of them.
  Tensor kernel = model.weight("dense/kernel");
  std::ranges::fill(kernel.data<float>(), 0.5f);
  const auto written = values_of(early.predict(x));
  EXPECT_NE(written, want);
  EXPECT_EQ(values_of(late.predict(x)), written);
  EXPECT_EQ(values_of(model.predict(x)), written);
  EXPECT_EQ(values_of(early.weight("dense/kernel")), values_of(model.weight("dense/kernel")));
}

TEST_P(CudaClones, AreNoCopiesOfTheWeights) {
  Sequential model({Input({1024}), Dense(1024)}, {.device = "sim", .threads = 1});
  const Tensor x = ramp({2, 1024});
  const auto first = values_of(model.predict(x));
  std::size_t before = 0, free = 0, total = 0;
  ASSERT_EQ(cudaMemGetInfo(&before, &total), cudaSuccess);
  Model clone = model.clone_for_inference();
  EXPECT_EQ(values_of(clone.predict(x)), first);
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_LT(before - free, std::size_t{3} << 20) << "the weights are 4 MiB";
}

TEST_P(CudaClones, OutliveTheOriginal) {
  const Tensor x = ramp({kRows, kInputs});
  auto model = std::make_unique<Sequential>(make_model("sim"));
  model->fit(x, ones({kRows, kUnits}), {.epochs = 2, .batch_size = kRows, .verbose = Verbose::silent});
  const auto want = values_of(model->predict(x));
  Model used = model->clone_for_inference(), unused = model->clone_for_inference();
  EXPECT_EQ(values_of(used.predict(x)), want);
  model.reset();
  EXPECT_EQ(values_of(used.predict(x)), want);
  EXPECT_EQ(values_of(unused.predict(x)), want);
  EXPECT_EQ(values_of(unused.weight("dense/kernel")), values_of(used.weight("dense/kernel")));
}

// Every batch is computed from the weights between two steps: all units of a layer have been moved equally
// often.
TEST_P(CudaClones, NoBatchSeesAStepInHalf) {
  for (const int steps_per_execution : {1, 4}) {
    Sequential model = make_model("sim", steps_per_execution);
    const Tensor x = ones({kRows, kInputs}), y = ones({kRows, kUnits});
    model.fit(x, y, {.epochs = 1, .batch_size = kRows, .verbose = Verbose::silent});
    std::atomic<bool> done = false;
    std::atomic<int> batches = 0;
    const auto watch = [&](Model clone) {
      while (!done) {
        const auto seen = values_of(clone.predict(x));
        // Rows and units alike, and the same as what the first has.
        if (std::ranges::adjacent_find(seen, std::not_equal_to()) != seen.end()) ADD_FAILURE() << "torn";
        ++batches;
      }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) threads.emplace_back(watch, model.clone_for_inference());
    const std::vector<Tensor> data = {ones({kRows * 8, kInputs}), ones({kRows * 8, kUnits})};
    while (batches < 4) std::this_thread::yield();
    model.fit(data[0], data[1], {.epochs = 6, .batch_size = kRows, .verbose = Verbose::silent});
    done = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_GE(batches, 4);
  }
}

// Training beside clones gives the bits of training alone.
TEST_P(CudaClones, ChangeNothingForTheOriginal) {
  const Tensor x = ramp({kRows * 6, kInputs}), y = ones({kRows * 6, kUnits});
  const auto train = [&](bool watched) {
    Sequential model = make_model("sim");
    std::atomic<bool> done = false;
    std::optional<std::thread> thread;
    if (watched) {
      thread.emplace([&, clone = model.clone_for_inference()]() mutable {
        while (!done) static_cast<void>(clone.predict(x));
      });
    }
    const auto loss = model.fit(x, y, {.epochs = 4, .batch_size = kRows, .verbose = Verbose::silent})["loss"];
    done = true;
    if (thread) thread->join();
    return std::pair(loss, values_of(model.weight("dense/kernel")));
  };
  EXPECT_EQ(train(true), train(false));
}

// A clone knows the weights alone: what it brings to the host or to the device must not pass for all there
// is.
TEST_P(CudaClones, LeaveTheOptimizersMomentsWhereTheyAre) {
  const Tensor x = ramp({kRows * 3, kInputs}), y = ones({kRows * 3, kUnits});
  const TrainingOptions training{.optimizer = Adam(), .loss = MeanSquaredError()};
  const FitOptions once{.epochs = 1, .batch_size = kRows, .verbose = Verbose::silent};
  const auto train = [&](bool read, bool predict) {
    Sequential model({Input({kInputs}), Dense(kUnits)}, {.device = "sim", .threads = 1});
    Model clone = model.clone_for_inference();
    model.compile(training);
    model.fit(x, y, once);
    if (read) static_cast<void>(clone.weight("dense/kernel"));
    model.fit(x, y, once);
    model.compile(training);  // forgets the moments, on the host
    if (predict) static_cast<void>(clone.predict(x));
    model.fit(x, y, once);
    return values_of(model.weight("dense/kernel"));
  };
  const auto alone = train(false, false);
  EXPECT_EQ(train(true, false), alone) << "the clone brought weights to the host";
  EXPECT_EQ(train(false, true), alone) << "the clone brought weights to the device";
}

TEST_P(CudaClones, CannotBeTrained) {
  Model clone = make_model("sim").clone_for_inference();
  EXPECT_THROW(clone.compile({.optimizer = SGD(), .loss = MeanSquaredError()}), UsageError);
  EXPECT_THROW(static_cast<void>(clone.fit(ramp({kRows, kInputs}), ones({kRows, kUnits}))), UsageError);
}

INSTANTIATE_TEST_SUITE_P(Streams, CudaClones,
                         testing::Values(simt::Streams::lazy, simt::Streams::random, simt::Streams::eager));

}  // namespace
}  // namespace gpunn
