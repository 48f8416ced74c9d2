// Every word of the device vocabulary against what the CUDA programming guide says of it.
#include <chrono>

#include "check.hpp"
#include "kernels/basics.hpp"

namespace simt_suite {
namespace {

// Each test in every thread order; random in three.
class Basics : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    simt::Options o = simt::Options::from_environment();
    o.order = GetParam() == 0   ? simt::Order::forward
              : GetParam() == 1 ? simt::Order::reverse
                                : simt::Order::random;
    o.seed = static_cast<std::uint64_t>(GetParam());
    simt::set_options(o);
  }
  void TearDown() override { simt::set_options(simt::Options::from_environment()); }
};
INSTANTIATE_TEST_SUITE_P(Orders, Basics, testing::Range(0, 5));

TEST_P(Basics, ThreadsAndBlocksCoverTheGrid) {
  for (const int n : {0, 1, 63, 64, 65, 128, 1009}) {
    const auto x = values(n, 1), y = values(n, 2);
    Buffer<float> dx(x), dy(y);
    CHECK_CUDA(run_axpy(dx.get(), dy.get(), 3.0f, n, nullptr));
    const auto got = dy.read();
    for (int i = 0; i < n; ++i) ASSERT_EQ(got[i], y[i] + 3.0f * x[i]);
  }
}

TEST_P(Basics, DynamicSharedMemoryAndBarrier) {
  for (const int n : {1, 31, 32, 33, 256, 1024}) {
    std::vector<int> in(n);
    for (int i = 0; i < n; ++i) in[i] = i * i;
    Buffer<int> din(in), out(n);
    CHECK_CUDA(run_reverse_block(din.get(), out.get(), n, nullptr));
    const auto got = out.read();
    for (int i = 0; i < n; ++i) ASSERT_EQ(got[i], in[n - 1 - i]);
  }
}

TEST_P(Basics, ShufflesFollowTheGuide) {
  for (const int w : {1, 2, 4, 8, 16, 32}) {
    Buffer<int> out(320);
    CHECK_CUDA(run_shuffles(out.get(), w, nullptr));
    const auto got = out.read();
    for (int lane = 0; lane < 32; ++lane) {
      const int first = lane / w * w, in_group = lane % w;
      const int* mine = &got[10 * lane];
      EXPECT_EQ(mine[0], first + 5 % w);
      EXPECT_EQ(mine[1], first + (lane + 1) % w);
      EXPECT_EQ(mine[2], in_group >= 3 ? lane - 3 : lane);
      EXPECT_EQ(mine[3], in_group + 3 < w ? lane + 3 : lane);
      // Earlier groups may be read, later ones not.
      EXPECT_EQ(mine[4], (lane ^ 1) < first + w ? lane ^ 1 : lane);
      EXPECT_EQ(mine[5], (lane ^ 16) < first + w ? lane ^ 16 : lane);
      EXPECT_EQ(mine[6], first + w - 1);
      EXPECT_EQ(mine[7], 2 * (in_group + 1 < w ? lane + 1 : lane));
      EXPECT_EQ(mine[8], lane);
      EXPECT_EQ(mine[9], lane < 16 ? 15 : 16);
    }
  }
}

TEST_P(Basics, VotesMatchAndReduce) {
  Buffer<unsigned> out(13);
  CHECK_CUDA(run_votes(out.get(), nullptr));
  const std::vector<unsigned> want = {0x49249249u, 1, 0, 1, 0, 0x0000ff00u, ~0u, 1, 0, 0, 496, 31, 1};
  EXPECT_EQ(out.read(), want);
}

TEST_P(Basics, AtomicsOfEveryType) {
  Buffer<int> ints(std::vector<int>{0, 0, -1, 1, 0, 0});
  Buffer<float> floats(std::vector<float>{0});
  Buffer<double> doubles(std::vector<double>{0});
  Buffer<unsigned> unsigneds(std::vector<unsigned>{~0u, 0, 0, 0, 0});
  CHECK_CUDA(run_atomics(ints.get(), floats.get(), doubles.get(), unsigneds.get(), nullptr));
  EXPECT_EQ(ints.read(), (std::vector<int>{127 * 64, -128, 127, -127, 77, 5}));
  EXPECT_EQ(floats.read()[0], 64.0f);
  EXPECT_EQ(doubles.read()[0], 32.0);
  // inc wraps after 6: 128 mod 7; dec goes 0, 9, 8, ..: 128 steps of a cycle of 10 from 0
  EXPECT_EQ(unsigneds.read(), (std::vector<unsigned>{0, ~0u, 0, 128 % 7, 2}));
}

TEST_P(Basics, BarrierReductions) {
  Buffer<int> out(4);
  CHECK_CUDA(run_barrier_reductions(out.get(), nullptr));
  EXPECT_EQ(out.read(), (std::vector<int>{34, 1, 1, 0}));
}

TEST_P(Basics, FreshMemoryIsNaN) {
  Buffer<float> global(4), out(std::vector<float>(6, 0.0f));  // not NaN, so that every one must be written
  CHECK_CUDA(run_fresh_memory(global.get(), out.get(), nullptr));
  for (const float x : out.read()) EXPECT_TRUE(std::isnan(x)) << x;
}

TEST(Cost, BarrierOf256Threads) {
  Buffer<int> out(1);
  constexpr int kBarriers = 200;
  double best = 1e9;
  for (int attempt = 0; attempt < 5; ++attempt) {
    const auto start = std::chrono::steady_clock::now();
    CHECK_CUDA(run_barriers(1, 256, kBarriers, out.get(), nullptr));
    CHECK_CUDA(cudaDeviceSynchronize());
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / kBarriers);
  }
  RecordProperty("microseconds_per_barrier", std::to_string(best));
  std::printf("a barrier of 256 threads: %.1f us\n", best);
  EXPECT_EQ(out.read()[0], kBarriers);
  EXPECT_EQ(simt::launches().back().barriers, static_cast<std::uint64_t>(kBarriers));
}

}  // namespace
}  // namespace simt_suite
