// A step allocates nothing: a fit of a thousand steps asks for memory as often as one of ten.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "src/core/host_memory.hpp"
#include "tests/train/helpers.hpp"

namespace {
std::atomic<std::int64_t> news{0};
}

// Counts all of the process; malloc under it stays visible to sanitizers. Not inlined, or compilers see new
// and free meet and take them for a mistake.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++news;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++news;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace gpunn {
namespace {

struct Requests {
  std::int64_t news = 0, host = 0;
};

Requests requests_of_fit(Model& model, const DatasetPtr& data, const FitOptions& options = quietly({})) {
  const HostMemoryFault counter(0);
  const std::int64_t before = news;
  model.fit(data, options);
  return {news - before, counter.requests()};
}

TEST(Allocation, AStepAllocatesNothing) {
  const DatasetPtr few = table(320).dataset(), many = table(32000).dataset();
  for (const int threads : {1, 2}) {
    Sequential model = compiled_ffn({.threads = threads});
    requests_of_fit(model, few);  // plans and binds
    const Requests ten = requests_of_fit(model, few), thousand = requests_of_fit(model, many);
    EXPECT_GT(ten.news, 0);  // it does count
    EXPECT_EQ(ten.news, thousand.news) << threads;
    EXPECT_EQ(ten.host, thousand.host) << threads;
  }
}

// Images as bytes and their classes as bytes: a convolutional network, rows gathered from memory.
struct Images {
  Tensor x, y;
  explicit Images(std::int64_t n) : x({n, 8, 8, 1}, Dtype::u8), y({n}, Dtype::u8) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      y.data<std::uint8_t>()[i] = static_cast<std::uint8_t>(i % 3);
      x.data<std::uint8_t>()[i * 64] = static_cast<std::uint8_t>(i);
    }
  }
  DatasetPtr dataset() const {
    return std::make_shared<TensorDataset>(
        TensorDataset::Columns{.inputs = {x}, .targets = {y}, .input_scale = 1 / 255.0f});
  }
};

Sequential compiled_cnn() {
  Sequential model({Input({8, 8, 1}), Conv2D(4, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}),
                    Flatten(), Dropout(0.5f), Dense(3, {.activation = softmax})},
                   {.device = "cpu", .threads = 2});
  model.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy(), .metrics = {accuracy}});
  return model;
}

TEST(Allocation, NorDoesAConvolutionalStep) {
  Sequential model = compiled_cnn();
  const DatasetPtr few = Images(320).dataset(), many = Images(3200).dataset();
  requests_of_fit(model, few);
  const Requests ten = requests_of_fit(model, few), hundred = requests_of_fit(model, many);
  EXPECT_EQ(ten.news, hundred.news);
  EXPECT_EQ(ten.host, hundred.host);
}

// Nor do batches that are read, on a thread of the loader's or on this one, with labels that are converted.
TEST(Allocation, NorDoesReadingABatch) {
  Sequential model = compiled_cnn();
  const auto few = std::make_shared<Unresident>(Images(320).dataset());
  const auto many = std::make_shared<Unresident>(Images(3200).dataset());
  for (const int prefetch : {0, 2}) {
    FitOptions options = quietly({.validation_data = few, .prefetch = prefetch});
    requests_of_fit(model, few, options);
    const Requests ten = requests_of_fit(model, few, options);
    options.validation_data = many;
    const Requests hundred = requests_of_fit(model, many, options);
    EXPECT_EQ(ten.news, hundred.news) << prefetch;
    EXPECT_EQ(ten.host, hundred.host) << prefetch;
  }
}

// Steps of one model never run at once: an evaluation, and a batch that is smaller, need no memory of their
// own.
TEST(Allocation, StepsOfAModelShareTheirArena) {
  const Table data = table(64);
  Sequential model = compiled_ffn();
  model.fit(data.x, data.y, quietly({}));
  const std::int64_t live = live_host_blocks();
  model.evaluate(data.x, data.y);
  model.fit(data.x, data.y, quietly({.batch_size = 20}));
  EXPECT_EQ(live_host_blocks(), live);
}

}  // namespace
}  // namespace gpunn
