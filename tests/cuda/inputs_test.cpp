// How batches come to the device: from one copy of the data set for all who read it, or ahead of the steps.

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <gpunn/gpunn.hpp>

#include "tests/cuda/on_sim.hpp"
#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

class CudaInputs : public OnSim {
 protected:
  void SetUp() override {
    OnSim::SetUp();
    before_ = simt::options();
  }
  void TearDown() override {
    simt::set_options(before_);
    OnSim::TearDown();
  }

 private:
  simt::Options before_;
};

// Batches of 4 and a last one of 3.
constexpr std::int64_t kSamples = 51, kBatch = 4;

Tensor bytes(Shape shape) {
  Tensor x(std::move(shape), Dtype::u8);
  for (std::size_t i = 0; i < x.data<std::uint8_t>().size(); ++i)
    x.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(i * 37 % 251);
  return x;
}
Tensor labels() {
  Tensor y(Shape{kSamples}, Dtype::i32);
  for (std::size_t i = 0; i < kSamples; ++i) y.data<std::int32_t>()[i] = static_cast<std::int32_t>(i % 3);
  return y;
}

Sequential classifier(const Shape& image, const std::string& device) {
  Sequential model(
      {Input(image), Flatten(), Dense(8, {.activation = relu}), Dense(3, {.activation = softmax})},
      {.device = device, .threads = 1, .seed = 3});
  model.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy(), .steps_per_execution = 4});
  return model;
}

std::vector<float> trained_weights(const std::string& device, const DatasetPtr& data, const Shape& image) {
  Sequential model = classifier(image, device);
  model.fit(data, FitOptions{.epochs = 2, .batch_size = kBatch, .verbose = Verbose::silent});
  return weights(model);
}

// 49 bytes are no whole words.
TEST_F(CudaInputs, TravellingChangesNoBit) {
  const Shape image{7, 7, 1};
  const auto resident = std::make_shared<TensorDataset>(bytes(Shape{kSamples, 7, 7, 1}), labels());
  const std::vector<float> expected = trained_weights("sim", resident, image);
  const std::pair<simt::Streams, std::uint64_t> orders[] = {{simt::Streams::eager, 1},
                                                            {simt::Streams::lazy, 1},
                                                            {simt::Streams::random, 1},
                                                            {simt::Streams::random, 2},
                                                            {simt::Streams::random, 3}};
  for (const auto& [streams, seed] : orders) {
    SCOPED_TRACE(seed);
    simt::Options options = simt::options();
    options.streams = streams, options.seed = seed;
    simt::set_options(options);
    EXPECT_TRUE(same_bits(trained_weights("sim", std::make_shared<Unresident>(resident), image), expected));
    EXPECT_TRUE(same_bits(trained_weights("sim", resident, image), expected));
  }
}

// Training, its short last batch and evaluation have executors of their own.
TEST_F(CudaInputs, ADataSetIsOnTheDeviceOnce) {
  const Shape image{64, 64, 16};
  const auto data = std::make_shared<TensorDataset>(bytes(Shape{kSamples, 64, 64, 16}), labels());
  constexpr std::size_t kBytes = std::size_t{kSamples} * 64 * 64 * 16;
  Sequential model({Input(image), GlobalAveragePooling2D(), Dense(3, {.activation = softmax})},
                   {.device = "sim", .threads = 1});
  model.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy()});
  release_cached_memory("sim");
  const std::size_t others = memory_statistics("sim").in_use;
  model.fit(data, FitOptions{.epochs = 1, .batch_size = kBatch, .verbose = Verbose::silent});
  const std::size_t used = memory_statistics("sim").in_use - others;
  EXPECT_GT(used, kBytes);
  EXPECT_LT(used, 2 * kBytes);
}

// With memory for the step, and not for twice the data.
TEST_F(CudaInputs, DataThatDoNotFitTravel) {
  const auto data = std::make_shared<TensorDataset>(bytes(Shape{kSamples, 64, 64, 16}), labels());
  constexpr std::size_t kBytes = std::size_t{kSamples} * 64 * 64 * 16;
  const auto train = [&] {
    Sequential model({Input({64, 64, 16}), GlobalAveragePooling2D(), Dense(3, {.activation = softmax})},
                     {.device = "sim", .threads = 1, .seed = 3});
    model.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy(), .steps_per_execution = 4});
    model.fit(data, FitOptions{.epochs = 1, .batch_size = kBatch, .verbose = Verbose::silent});
    return std::pair(weights(model), memory_statistics("sim").in_use);
  };
  release_cached_memory("sim");
  const auto [expected, in_use] = train();
  release_cached_memory("sim");
  simt::Options options = simt::options();
  std::size_t free = 0, total = 0;
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  options.device_memory = total - free + 2 * kBytes;  // other tests left some in caches of their own
  simt::set_options(options);
  const auto [got, in_use_now] = train();
  EXPECT_LT(in_use_now, in_use - kBytes / 2) << "the data should not be there";
  EXPECT_TRUE(same_bits(got, expected));
}

TEST_F(CudaInputs, StatisticsCountWhatModelsHold) {
  const MemoryStatistics before = memory_statistics("sim");
  {
    Sequential model = classifier({256}, "sim");
    model.fit(bytes(Shape{kSamples, 256}), labels(),
              {.epochs = 1, .batch_size = kBatch, .verbose = Verbose::silent});
    const MemoryStatistics during = memory_statistics("sim");
    EXPECT_GT(during.in_use, before.in_use);
    EXPECT_GT(during.live, before.live);
    EXPECT_GT(during.allocations, before.allocations);
    EXPECT_GE(during.peak, during.in_use);
  }
  const MemoryStatistics after = memory_statistics("sim");
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_EQ(after.live, before.live);
  EXPECT_GT(after.cached, 0u);
  release_cached_memory("sim");
  EXPECT_EQ(memory_statistics("sim").cached, 0u);
  EXPECT_THROW(memory_statistics("cpu"), UsageError);
  EXPECT_THROW(memory_statistics("cuda:7"), DeviceError);
}

}  // namespace
}  // namespace gpunn
