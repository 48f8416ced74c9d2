#include "src/io/loader.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <set>
#include <thread>

#include "src/core/host_memory.hpp"
#include "src/core/random_streams.hpp"
#include "tests/io/numbered_dataset.hpp"

namespace gpunn {
namespace {

TEST(Loader, EveryPrefetchGivesTheSameBatches) {
  for (const std::int64_t size : {1, 31, 32, 33, 257}) {
    const auto data = std::make_shared<NumberedDataset>(size);
    Loader inline_loader(data, {.seed = 7, .prefetch = 0});
    for (const int prefetch : {1, 2, 5, 100}) {
      Loader loader(data, {.seed = 7, .prefetch = prefetch});
      for (const std::uint32_t number : {0u, 1u, 5u}) {
        EXPECT_EQ(epoch(loader, number), epoch(inline_loader, number)) << "prefetch " << prefetch;
      }
    }
  }
}

TEST(Loader, AnEpochIsEverySampleOnceInAnOrderOfItsOwn) {
  const auto data = std::make_shared<NumberedDataset>(1000);
  Loader loader(data, {.batch_size = 7, .seed = 3});
  const auto first = epoch(loader, 0), second = epoch(loader, 1);
  EXPECT_EQ(std::set(first.begin(), first.end()).size(), 1000u);
  EXPECT_EQ(first.size(), 1000u);
  EXPECT_NE(first, second);
  EXPECT_EQ(epoch(loader, 0), first);  // and going back gives the same again
  Loader other_seed(data, {.batch_size = 7, .seed = 4});
  EXPECT_NE(epoch(other_seed, 0), first);

  Loader in_order(data, {.shuffle = false});
  std::vector<std::int64_t> ascending(1000);
  std::iota(ascending.begin(), ascending.end(), 0);
  EXPECT_EQ(epoch(in_order, 9), ascending);
}

TEST(Loader, TheRemainderIsABatch) {
  const auto data = std::make_shared<NumberedDataset>(33);
  Loader whole(data, {.batch_size = 32, .shuffle = false});
  EXPECT_EQ(whole.batches_per_epoch(), 2);
  EXPECT_EQ(epoch(whole, 0).size(), 33u);
  Loader too_large(data, {.batch_size = 34});
  EXPECT_EQ(too_large.batches_per_epoch(), 1);
  EXPECT_EQ(epoch(too_large, 0).size(), 33u);
  Loader empty(std::make_shared<NumberedDataset>(0), {});
  EXPECT_EQ(epoch(empty, 0).size(), 0u);
}

TEST(Loader, ErrorsComeOutOfNextAndTheNextEpochWorks) {
  for (const int prefetch : {0, 1, 4}) {
    const auto data = std::make_shared<NumberedDataset>(100);
    data->failing_read = 3;
    Loader loader(data, {.batch_size = 10, .prefetch = prefetch});
    loader.start_epoch(0);
    EXPECT_NE(loader.next(), nullptr);
    EXPECT_NE(loader.next(), nullptr);
    EXPECT_THROW(loader.next(), DataError);
    EXPECT_EQ(loader.next(), nullptr);
    EXPECT_EQ(epoch(loader, 1).size(), 100u);
  }
}

TEST(Loader, ReadsAheadButNoFurtherThanAsked) {
  const auto data = std::make_shared<NumberedDataset>(1000);
  Loader loader(data, {.batch_size = 10, .prefetch = 3});
  loader.start_epoch(0);
  ASSERT_NE(loader.next(), nullptr);
  for (int i = 0; i < 2000 && data->reads < 4; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(data->reads, 4);  // the one in hand and three ahead
}

TEST(Loader, StopsPromptly) {
  const auto data = std::make_shared<NumberedDataset>(100'000);
  data->read_time = std::chrono::milliseconds(20);
  const auto begin = std::chrono::steady_clock::now();
  {
    Loader loader(data, {.batch_size = 10, .prefetch = 1000});
    loader.start_epoch(0);
    loader.next();
    loader.start_epoch(1);
    loader.next();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));  // 1,000 reads would take 20
}

TEST(Loader, HandsOutRowsOfResidentData) {
  Tensor x({6, 2}, Dtype::u8), y({6}, Dtype::i32);
  std::iota(x.data<std::uint8_t>().begin(), x.data<std::uint8_t>().end(), std::uint8_t{0});
  const auto whole = std::make_shared<TensorDataset>(
      TensorDataset::Columns{.inputs = {x}, .targets = {y}, .input_scale = 0.25f});
  // A subset of a subset: samples 5, 3, 4 of the whole.
  const DatasetPtr part = data::subset(data::subset(whole, {0, 5, 4, 3}), {1, 3, 2});
  Loader loader(part, {.batch_size = 2, .shuffle = false});
  loader.start_epoch(0);
  const Batch* batch = loader.next();
  ASSERT_NE(batch, nullptr);
  EXPECT_TRUE(batch->fields.empty());
  EXPECT_EQ(std::vector(batch->upcoming.begin(), batch->upcoming.end()), (std::vector<std::int64_t>{4}));
  EXPECT_EQ(std::vector(batch->rows.begin(), batch->rows.end()), (std::vector<std::int64_t>{5, 3}));
  batch = loader.next();
  ASSERT_NE(batch, nullptr);
  EXPECT_EQ(batch->size, 1);
  EXPECT_EQ(batch->rows[0], 4);
  EXPECT_TRUE(batch->upcoming.empty());
  EXPECT_EQ(loader.next(), nullptr);
}

// Whatever computes many places at once: the order of samples is part of what a seed stands for.
TEST(Loader, ShufflesAsThePermutationSays) {
  for (const std::int64_t size : {1, 15, 240, 255, 256, 257, 1000, 5003}) {
    const auto whole = std::make_shared<TensorDataset>(Tensor({size, 1}), Tensor({size, 1}));
    for (const std::int64_t batch_size : {1, 32, 37}) {
      Loader loader(whole, {.batch_size = batch_size, .seed = 4});
      const Permutation permutation(static_cast<std::uint64_t>(size),
                                    {.seed = 4, .stream = streams::kShuffle, .step = 2});
      loader.start_epoch(2);
      std::uint64_t sample = 0;
      std::vector<std::int64_t> upcoming;
      while (const Batch* batch = loader.next()) {
        const std::vector<std::int64_t> rows(batch->rows.begin(), batch->rows.end());
        if (!upcoming.empty()) {
          ASSERT_EQ(rows, upcoming);
        }
        for (const std::int64_t row : rows)
          ASSERT_EQ(static_cast<std::uint64_t>(row), permutation(sample++)) << "of " << size;
        upcoming.assign(batch->upcoming.begin(), batch->upcoming.end());
      }
      EXPECT_EQ(sample, static_cast<std::uint64_t>(size));
      EXPECT_TRUE(upcoming.empty());
    }
  }
}

TEST(Loader, RefusesNonsense) {
  const auto data = std::make_shared<NumberedDataset>(3);
  EXPECT_THROW(Loader(nullptr, {}), UsageError);
  EXPECT_THROW(Loader(data, {.batch_size = 0}), UsageError);
  EXPECT_THROW(Loader(data, {.prefetch = -1}), UsageError);
  Loader loader(data, {});
  EXPECT_THROW(loader.next(), UsageError);
}

TEST(Loader, EveryFailingAllocationIsAnErrorWithoutALeak) {
  const auto data = std::make_shared<NumberedDataset>(100);
  const std::int64_t before = live_host_blocks();
  std::int64_t total = 0;
  for (std::int64_t k = 1; total == 0; ++k) {
    const HostMemoryFault fault(k);
    try {
      Loader loader(data, {});
      EXPECT_EQ(epoch(loader, 0).size(), 100u);
      total = fault.requests();
    } catch (const OutOfMemory&) {
    }
    EXPECT_EQ(live_host_blocks(), before);
    ASSERT_LT(k, 100);
  }
  EXPECT_GE(total, 9);  // three slots of two delivered fields and one stored
}

}  // namespace
}  // namespace gpunn
