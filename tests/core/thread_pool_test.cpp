#include "src/core/thread_pool.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <numeric>
#include <stdexcept>

#include "gpunn/error.hpp"

namespace gpunn {
namespace {

class ThreadPoolTest : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, DoesEveryTaskOnceAndKeepsWorkersApart) {
  ThreadPool pool(GetParam());
  for (int tasks = 0; tasks < 300; ++tasks) {
    std::vector<int> times(static_cast<std::size_t>(tasks), 0);
    // Plain ints on purpose: two tasks of one worker at a time would be a race that TSan sees.
    struct alignas(64) Count {
      int value = 0;
    };
    std::vector<Count> of_worker(static_cast<std::size_t>(pool.threads()));
    pool.run(tasks, [&](int task, int worker) {
      ++times.at(static_cast<std::size_t>(task));
      ++of_worker.at(static_cast<std::size_t>(worker)).value;
    });
    EXPECT_EQ(std::count(times.begin(), times.end(), 1), tasks);
    int total = 0;
    for (const Count& count : of_worker) total += count.value;
    EXPECT_EQ(total, tasks);
  }
}

TEST_P(ThreadPoolTest, WakesHelpersThatWentToSleep) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::microseconds(50 * round));  // around the end of the spinning
    std::atomic<int> begun{0};
    const int tasks = pool.threads();
    // Nobody can finish before all have begun: each task needs a thread of its own.
    pool.run(tasks, [&](int, int) {
      ++begun;
      while (begun < tasks) std::this_thread::yield();
    });
    EXPECT_EQ(begun, tasks);
  }
}

TEST_P(ThreadPoolTest, RethrowsAndStaysUsable) {
  ThreadPool pool(GetParam());
  for (int round = 0; round < 50; ++round) {
    EXPECT_THROW(pool.run(64,
                          [&](int task, int) {
                            if (task == round) throw std::out_of_range("task");
                          }),
                 std::out_of_range);
    std::atomic<int> sum{0};
    pool.run(10, [&](int task, int) { sum += task; });
    EXPECT_EQ(sum, 45);
  }
}

TEST_P(ThreadPoolTest, RefusesToRunInsideATask) {
  ThreadPool pool(GetParam());
  std::atomic<int> refused{0};
  pool.run(8, [&](int, int) {
    try {
      pool.run(1, [](int, int) {});
    } catch (const UsageError&) {
      ++refused;
    }
  });
  EXPECT_EQ(refused, 8);
}

TEST_P(ThreadPoolTest, SeveralCallersTakeTurns) {
  ThreadPool pool(GetParam());
  std::array<std::int64_t, 3> sums{};
  {
    std::vector<std::jthread> callers;
    for (std::int64_t& sum : sums) {
      callers.emplace_back([&pool, &sum] {
        for (int round = 0; round < 200; ++round) {
          std::array<int, 5> parts{};
          pool.run(5, [&](int task, int) { parts[static_cast<std::size_t>(task)] = task + 1; });
          sum += std::accumulate(parts.begin(), parts.end(), 0);
        }
      });
    }
  }
  for (const std::int64_t sum : sums) EXPECT_EQ(sum, 200 * 15);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, testing::Values(1, 2, 3, 8, 16));

TEST(ThreadPool, RefusesZeroThreads) {
  EXPECT_THROW(ThreadPool(0), UsageError);
  EXPECT_THROW(ThreadPool(-1), UsageError);
  EXPECT_GE(available_cores(), 1);
}

}  // namespace
}  // namespace gpunn
