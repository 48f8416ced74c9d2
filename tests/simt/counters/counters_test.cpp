// What the counters say of access patterns whose cost is known.
#include "access.hpp"
#include "check.hpp"

namespace simt_suite {
namespace {

simt::Counters last() {
  require(cudaDeviceSynchronize());
  return simt::launches().back();
}

TEST(Counters, SectorsPerRequestFollowTheStride) {
  Buffer<float> x(32 * 32 + 8), y(32);
  const auto sectors = [&](int stride, int offset) {
    require(run_strided(x.get(), y.get(), stride, offset, nullptr));
    return last();
  };
  simt::Counters c = sectors(1, 0);
  EXPECT_TRUE(c.accesses_counted);
  EXPECT_EQ(c.global_load_requests, 1u);
  EXPECT_EQ(c.global_store_requests, 1u);
  EXPECT_EQ(c.sectors_per_load(), 4);  // 32 floats in sequence
  EXPECT_EQ(c.sectors_per_store(), 4);
  EXPECT_EQ(c.global_load_bytes, 128u);
  EXPECT_EQ(sectors(1, 1).sectors_per_load(), 5);  // not aligned
  EXPECT_EQ(sectors(2, 0).sectors_per_load(), 8);
  EXPECT_EQ(sectors(8, 0).sectors_per_load(), 32);
  EXPECT_EQ(sectors(32, 0).sectors_per_load(), 32);
  EXPECT_EQ(sectors(0, 0).sectors_per_load(), 1);  // one word for all
}

TEST(Counters, AVectorIsOneRequest) {
  Buffer<float4> x(32), y(32);
  CHECK_CUDA(run_vectors(x.get(), y.get(), nullptr));
  const simt::Counters c = last();
  EXPECT_EQ(c.global_load_requests, 1u);
  EXPECT_EQ(c.sectors_per_load(), 16);
  EXPECT_EQ(c.sectors_per_store(), 16);
}

TEST(Counters, BankConflictsFollowTheStride) {
  Buffer<float> out(32);
  const auto conflicts = [&](int stride) {
    require(run_banks(stride, out.get(), nullptr));
    const simt::Counters c = last();
    EXPECT_EQ(c.shared_requests, 2u);  // a store and a load
    return c.bank_conflicts;
  };
  EXPECT_EQ(conflicts(1), 0u);
  EXPECT_EQ(conflicts(2), 2u);    // two lanes per bank
  EXPECT_EQ(conflicts(4), 6u);    // four
  EXPECT_EQ(conflicts(32), 62u);  // all in one
  EXPECT_EQ(conflicts(33), 0u);   // padding
  EXPECT_EQ(conflicts(0), 0u);    // broadcast

  Buffer<float4> vectors(32);
  CHECK_CUDA(run_bank_vectors(vectors.get(), nullptr));
  EXPECT_EQ(last().bank_conflicts, 0u);
  EXPECT_EQ(last().shared_wavefronts, 8u);  // four for each of two
}

TEST(Counters, PaddingATileRemovesItsConflicts) {
  Buffer<float> x(1024), y(1024);
  CHECK_CUDA(run_transpose(0, x.get(), y.get(), nullptr));
  EXPECT_EQ(last().bank_conflicts, 32u * 31);
  CHECK_CUDA(run_transpose(1, x.get(), y.get(), nullptr));
  const simt::Counters c = last();
  EXPECT_EQ(c.bank_conflicts, 0u);
  EXPECT_EQ(c.global_load_requests, 32u);
  EXPECT_EQ(c.sectors_per_load(), 4);
  EXPECT_EQ(c.sectors_per_store(), 4);
}

TEST(Counters, CollectivesAndAtomics) {
  Buffer<int> out(std::vector<int>{0});
  CHECK_CUDA(run_collectives(out.get(), nullptr));
  const simt::Counters c = last();
  EXPECT_EQ(c.blocks, 2u);
  EXPECT_EQ(c.threads, 128u);
  EXPECT_EQ(c.barriers, 4u);       // 2 in each block
  EXPECT_EQ(c.warp_barriers, 4u);  // in each of 4 warps
  EXPECT_EQ(c.shuffles, 12u);
  EXPECT_EQ(c.atomics, 128u);
  EXPECT_NE(c.kernel.find("collectives"), std::string::npos);
}

// Another order of threads is the same work.
TEST(Counters, DoNotDependOnTheOrder) {
  Buffer<float> x(1024), y(1024);
  simt::Options o;
  std::uint64_t sectors = 0, conflicts = 0;
  for (const auto order : {simt::Order::forward, simt::Order::reverse, simt::Order::random}) {
    o.order = order;
    simt::set_options(o);
    CHECK_CUDA(run_transpose(0, x.get(), y.get(), nullptr));
    const simt::Counters c = last();
    if (order != simt::Order::forward) {
      EXPECT_EQ(c.global_load_sectors + c.global_store_sectors, sectors);
      EXPECT_EQ(c.bank_conflicts, conflicts);
    }
    sectors = c.global_load_sectors + c.global_store_sectors;
    conflicts = c.bank_conflicts;
  }
}

}  // namespace
}  // namespace simt_suite
