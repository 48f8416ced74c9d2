#include "src/memory/block_cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "src/core/host_memory.hpp"

namespace gpunn {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::size_t kMiB = 1 << 20;

std::string message_of(BlockCache& cache, std::size_t bytes, std::string_view label) {
  try {
    const Buffer buffer = cache.allocate(bytes, label);
  } catch (const OutOfMemory& error) {
    EXPECT_EQ(error.asked(), bytes);
    return error.what();
  }
  ADD_FAILURE() << "no OutOfMemory";
  return {};
}

TEST(SizeClass, LosesAtMostAnEighthAndGrowsWithTheRequest) {
  std::size_t before = 0;
  for (std::size_t bytes = 1; bytes < 3 * kMiB; bytes += 1 + bytes / 97) {
    const std::size_t block = size_class(bytes, 64);
    EXPECT_GE(block, bytes);
    EXPECT_LE(block, std::max(bytes + bytes / 8, (bytes + 63) / 64 * 64));
    EXPECT_EQ(block % 64, 0u);
    EXPECT_EQ(size_class(block, 64), block);
    EXPECT_GE(block, before);
    before = block;
  }
  EXPECT_EQ(size_class(~std::size_t{0}, 64), 0u);
}

TEST(BlockCache, ReusesABlockOfTheSameClass) {
  const auto upstream = std::make_shared<FakeUpstream>(64 * kMiB);
  BlockCache cache(upstream);
  std::byte* first = nullptr;
  {
    const Buffer buffer = cache.allocate(1000, "activations");
    first = buffer.data();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % 64, 0u);
    EXPECT_EQ(buffer.size(), 1000u);
    EXPECT_EQ(buffer.label(), "activations");
    std::memset(first, 1, buffer.size());
    EXPECT_EQ(cache.statistics().in_use, 1024u);
  }
  EXPECT_EQ(cache.statistics().cached, 1024u);
  const Buffer same_class = cache.allocate(1020, "gradients");
  EXPECT_EQ(same_class.data(), first);
  const Buffer other_class = cache.allocate(1025, "more");
  EXPECT_NE(other_class.data(), first);
  const MemoryStatistics statistics = cache.statistics();
  EXPECT_EQ(statistics.allocations, 3);
  EXPECT_EQ(statistics.hits, 1);
  EXPECT_EQ(statistics.live, 2);
  EXPECT_EQ(statistics.cached, 0u);
  EXPECT_EQ(statistics.peak, statistics.in_use);
  EXPECT_EQ(upstream->allocations(), 2);
}

TEST(BlockCache, ZeroBytesAreNoBlock) {
  BlockCache cache(std::make_shared<HostUpstream>());
  const Buffer empty = cache.allocate(0, "empty");
  EXPECT_EQ(empty.data(), nullptr);
  EXPECT_EQ(cache.statistics().allocations, 0);
}

TEST(BlockCache, GivesCachedBlocksBackBeforeItFails) {
  const auto upstream = std::make_shared<FakeUpstream>(4 * kMiB);
  BlockCache cache(upstream);
  { const Buffer dropped = cache.allocate(3 * kMiB, "old model"); }
  const Buffer needs_the_room = cache.allocate(2 * kMiB, "new model");
  EXPECT_EQ(upstream->live_bytes(), 2 * kMiB);
  EXPECT_EQ(cache.statistics().cached, 0u);
  EXPECT_EQ(cache.statistics().peak, 3 * kMiB);
}

TEST(BlockCache, OutOfMemoryNamesTheLargestHolders) {
  BlockCache cache(std::make_shared<FakeUpstream>(64 * kMiB));
  std::vector<Buffer> held;
  for (int i = 1; i <= 6; ++i) {
    held.push_back(cache.allocate(static_cast<std::size_t>(i) * kMiB, "layer " + std::to_string(i)));
  }
  held.push_back(cache.allocate(kMiB, "layer 2"));  // holders are summed: 3 MiB
  { const Buffer cached = cache.allocate(kMiB / 2, "dropped"); }
  const std::string message = message_of(cache, 100 * kMiB, "the arena");
  EXPECT_THAT(
      message,
      HasSubstr("out of memory on fake: 100.0 MiB asked for the arena; 41.5 MiB free, 0.5 MiB cached, "
                "22.0 MiB in use; largest holders: layer 6 6.0 MiB, layer 5 5.0 MiB, layer 4 4.0 MiB, "
                "layer 2 3.0 MiB, layer 3 3.0 MiB"));
  EXPECT_THAT(message, Not(HasSubstr("layer 1")));
  EXPECT_THAT(message_of(cache, ~std::size_t{0} - 5, "nonsense"),
              HasSubstr("nonsense"));  // no class is that large
}

TEST(BlockCache, SurvivesEveryFailingAllocation) {
  for (std::int64_t k = 1; k <= 4; ++k) {
    const auto upstream = std::make_shared<FakeUpstream>(64 * kMiB);
    upstream->fail_at(k);
    {
      BlockCache cache(upstream);
      std::vector<Buffer> buffers;
      bool failed = false;
      for (std::size_t i = 1; i <= 4; ++i) {
        try {
          buffers.push_back(cache.allocate(i * 1000, "buffer"));
        } catch (const OutOfMemory&) {
          failed = true;
          buffers.push_back(cache.allocate(i * 1000, "buffer"));  // and works again
        }
      }
      EXPECT_TRUE(failed);
      EXPECT_EQ(cache.statistics().live, 4);
    }
    EXPECT_EQ(upstream->live_bytes(), 0u);
    EXPECT_EQ(upstream->bad_deallocations(), 0);
  }
}

TEST(BlockCache, BuffersOutliveIt) {
  const auto upstream = std::make_shared<FakeUpstream>(kMiB);
  Buffer kept;
  {
    BlockCache cache(upstream);
    kept = cache.allocate(100, "kept");
    Buffer moved = std::move(kept);
    kept = std::move(moved);
  }
  std::memset(kept.data(), 7, kept.size());
  kept = Buffer();
  EXPECT_EQ(upstream->live_bytes(), 0u);
}

TEST(BlockCache, RefusesAlignmentsTheUpstreamCannotKeep) {
  EXPECT_THROW(BlockCache(std::make_shared<HostUpstream>(), 128), UsageError);
  EXPECT_THROW(BlockCache(std::make_shared<HostUpstream>(), 48), UsageError);
  EXPECT_THROW(BlockCache(nullptr), UsageError);
  BlockCache cache(std::make_shared<HostUpstream>(4096), 256);
  for (const std::size_t bytes : {1, 300, 5000}) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(cache.allocate(bytes, "page").data()) % 4096, 0u);
  }
  EXPECT_EQ(cache.statistics().cached, 256u + 512u + 5120u);
}

TEST(BlockCache, ThreadsMayShareIt) {
  const auto upstream = std::make_shared<FakeUpstream>(64 * kMiB);
  BlockCache cache(upstream);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&cache, t] {
        for (int i = 0; i < 500; ++i) {
          const Buffer buffer = cache.allocate(static_cast<std::size_t>(64 * (1 + i % 5)), "shared");
          std::memset(buffer.data(), t, buffer.size());  // two owners of one block would be a race
          if (i % 100 == 0) cache.release_cached();
          EXPECT_EQ(buffer.data()[buffer.size() - 1], static_cast<std::byte>(t));
        }
      });
    }
  }
  EXPECT_EQ(cache.statistics().in_use, 0u);
  EXPECT_EQ(cache.statistics().allocations, 2000);
  cache.release_cached();
  EXPECT_EQ(upstream->live_bytes(), 0u);
  EXPECT_EQ(upstream->bad_deallocations(), 0);
}

TEST(HostUpstream, KnowsWhatIsFreeAndFailsTyped) {
  HostUpstream host;
  const auto free = host.free_bytes();
  ASSERT_TRUE(free.has_value());
  EXPECT_GT(*free, kMiB);
  EXPECT_THROW(host.allocate(std::size_t{1} << 60), OutOfMemory);
  const std::int64_t before = live_host_blocks();
  const HostMemoryFault fault(2);
  BlockCache cache(std::make_shared<HostUpstream>());
  const Buffer first = cache.allocate(10, "first");
  EXPECT_THROW(cache.allocate(10, "second"), OutOfMemory);
  const Buffer third = cache.allocate(10, "third");
  EXPECT_EQ(live_host_blocks(), before + 2);
}

}  // namespace
}  // namespace gpunn
