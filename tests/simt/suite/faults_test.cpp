// Every class of fault, planted in a kernel or in host code, and the build that catches it. A row runs in the
// builds it names; the README's table is this one.
#include <cstdlib>
#include <functional>
#include <ostream>

#include "check.hpp"
#include "hosts.hpp"
#include "patterns.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define SUITE_BUILD kAddress
#elif defined(__SANITIZE_THREAD__)
#define SUITE_BUILD kThread
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SUITE_BUILD kAddress
#elif __has_feature(thread_sanitizer)
#define SUITE_BUILD kThread
#endif
#endif
#ifndef SUITE_BUILD
#define SUITE_BUILD kPlain
#endif

namespace simt_suite {
namespace {

enum Build { kPlain = 1, kAddress = 2, kThread = 4, kEvery = 7 };

struct Row {
  std::string name;
  int builds;            // that catch it
  const char* evidence;  // what the report says; "" for a wrong result
  std::function<double()> run;
  double tolerance;
  simt::Options options;
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.name;
}

// One launch in one thread order is enough to see it.
Row in_kernel(const char* name, const char* pattern_name, Fault fault, int builds, const char* evidence,
              simt::Options o = {}) {
  const Pattern& p = pattern(pattern_name);
  return {name, builds, evidence, [&p, fault] { return p.error(fault); }, p.tolerance, o};
}

simt::Options perturbed() {
  simt::Options o;
  o.perturb_math = true;
  return o;
}

simt::Options warps_alone() {
  simt::Options o;
  o.identities = simt::Identities::warp;
  return o;
}

simt::Options streams(simt::Streams order, std::uint64_t seed = 1) {
  simt::Options o;
  o.streams = order;
  o.seed = seed;
  return o;
}

Row on_host(const char* name, double (*run)(), int builds, const char* evidence, simt::Options o = {}) {
  return {name, builds, evidence, run, 0, o};
}

const char* const kRace = "data race";
const char* const kDeadlock = "deadlock: not every thread reaches the same barrier";

std::vector<Row> table() {
  const auto lazy = streams(simt::Streams::lazy);
  const auto eager = streams(simt::Streams::eager);
  return {
      // Order of memory accesses inside a block.
      in_kernel("missing_barrier_reduce", "reduce", Fault::no_barrier, kThread, kRace),
      in_kernel("missing_barrier_scan", "scan", Fault::no_barrier, kThread, kRace),
      in_kernel("missing_barrier_transpose", "transpose", Fault::no_barrier, kThread, kRace),
      in_kernel("missing_barrier_gemm", "gemm", Fault::no_barrier, kThread, kRace),
      in_kernel("missing_barrier_stencil", "stencil", Fault::no_barrier, kThread, kRace),
      in_kernel("missing_barrier_sort", "sort", Fault::no_barrier, kThread, kRace),
      in_kernel("missing_barrier_recurrence", "recurrence", Fault::no_barrier, kThread, kRace),
      in_kernel("missing_second_barrier_gemm", "gemm", Fault::no_second_barrier, kThread, kRace),
      in_kernel("missing_second_barrier_softmax", "softmax", Fault::no_second_barrier, kThread, kRace),
      in_kernel("missing_second_barrier_in_wide_blocks", "softmax", Fault::no_barrier_wide, kThread, kRace,
                warps_alone()),
      in_kernel("single_buffer_scan", "scan", Fault::no_second_barrier, kThread, kRace),
      in_kernel("single_buffer_recurrence", "recurrence", Fault::no_second_barrier, kThread, kRace),
      in_kernel("missing_syncwarp", "reduce", Fault::no_syncwarp, kThread, kRace),
      in_kernel("plain_shared_update", "histogram", Fault::plain_shared_update, kThread, kRace),
      // Order between blocks.
      in_kernel("plain_update_between_blocks", "histogram", Fault::plain_global_update, kThread, kRace),
      in_kernel("plain_counter_of_blocks", "reduce_last_block", Fault::plain_global_update, kThread, kRace),
      in_kernel("missing_fence", "reduce_last_block", Fault::no_fence, kThread, kRace),
      in_kernel("missing_fence_in_wide_blocks", "reduce_last_block", Fault::no_fence_wide, kThread, kRace,
                warps_alone()),
      in_kernel("two_blocks_write_one_element", "stencil", Fault::block_race, kThread, kRace),
      // Barriers and masks.
      in_kernel("barrier_in_a_branch", "reduce", Fault::divergent_barrier, kEvery, kDeadlock),
      in_kernel("barrier_in_each_branch", "reduce", Fault::barrier_per_branch, kEvery, kDeadlock),
      in_kernel("early_return_before_barrier", "reduce", Fault::early_return, kEvery, kDeadlock),
      in_kernel("barrier_against_shuffle", "reduce", Fault::barrier_and_shuffle, kEvery,
                "deadlock|data race"),
      in_kernel("lane_outside_its_mask", "reduce", Fault::narrow_mask, kEvery, "not in the mask it passes"),
      in_kernel("shuffle_from_absent_lane", "reduce", Fault::absent_lane, kEvery, "does not take part"),
      in_kernel("mixed_collectives", "reduce", Fault::mixed_collectives, kEvery,
                "different warp collectives"),
      in_kernel("wmma_in_half_a_warp", "wmma_gemm", Fault::divergent_barrier, kEvery, "by part of a warp"),
      // Addresses.
      in_kernel("shared_overrun", "reduce", Fault::shared_overrun, kAddress,
                "out of bounds|global-buffer-overflow"),
      in_kernel("dynamic_shared_overrun", "scan", Fault::dynamic_overrun, kAddress, "heap-buffer-overflow"),
      in_kernel("global_read_overrun", "reduce", Fault::global_read_overrun, kAddress,
                "heap-buffer-overflow"),
      in_kernel("global_write_overrun", "stencil", Fault::global_write_overrun, kAddress,
                "heap-buffer-overflow"),
      in_kernel("global_write_overrun_guard", "stencil", Fault::global_write_overrun, kPlain, "past the end"),
      in_kernel("write_before_begin", "stencil", Fault::write_before_begin, kAddress, "heap-buffer-overflow"),
      in_kernel("write_before_begin_guard", "stencil", Fault::write_before_begin, kPlain,
                "before the beginning"),
      in_kernel("local_array_bounds", "stencil", Fault::array_bounds, kAddress, "out of bounds"),
      in_kernel("index_overflow", "stencil", Fault::index_overflow, kAddress, "signed integer overflow"),
      in_kernel("misaligned_float4", "scale4", Fault::misaligned_vector, kAddress, "misaligned address"),
      in_kernel("misaligned_wmma", "wmma_gemm", Fault::misaligned_vector, kEvery, "not aligned to 32 bytes"),
      // Memory that was never written.
      in_kernel("shared_not_zeroed", "histogram", Fault::no_zeroing, kPlain, ""),
      in_kernel("device_memory_not_zeroed", "stencil", Fault::fresh_global, kPlain, ""),
      in_kernel("local_not_set", "softmax", Fault::fresh_local, kPlain, ""),
      // Wrong results.
      in_kernel("thread_for_block_index", "transpose", Fault::swapped_index, kPlain, "|past the end"),
      in_kernel("less_or_equal", "transpose", Fault::wrong_compare, kPlain, "|past the end"),
      in_kernel("luck_with_fast_maths", "scale4", Fault::lucky_tolerance, kPlain, "", perturbed()),
      in_kernel("device_assert", "stencil", Fault::device_assert, kEvery, "device-side assert: i < n"),
      // Host code.
      on_host("missing_event_wait_lazy", missing_wait, kPlain, "", lazy),
      on_host("missing_event_wait_random", missing_wait_often, kPlain, "", streams(simt::Streams::random)),
      on_host("missing_event_wait_race", missing_wait, kThread, kRace, eager),
      on_host("missing_wait_in_graph_race", missing_wait_in_graph, kThread, kRace, eager),
      on_host("pinned_source_reused", source_reused, kPlain, "", lazy),
      on_host("pinned_source_reused_poison", source_reused, kAddress, "use-after-poison", lazy),
      on_host("pinned_source_reused_race", source_reused, kThread, kRace, eager),
      on_host("result_read_too_early", result_read_early, kPlain, "", lazy),
      on_host("result_read_too_early_poison", result_read_early, kAddress, "use-after-poison", lazy),
      on_host("result_read_too_early_race", result_read_early, kThread, kRace, eager),
      on_host("host_reads_device_memory", host_reads_device, kAddress, "use-after-poison"),
      on_host("use_after_free", use_after_free, kAddress, "heap-use-after-free|use-after-poison"),
      on_host("use_after_stream_ordered_free", use_after_async_free, kAddress, "heap-use-after-free", lazy),
      on_host("use_before_stream_ordered_malloc", use_before_async_malloc, kAddress, "use-after-poison",
              lazy),
      on_host("freed_while_another_stream_reads", freed_in_use, kThread, kRace, eager),
      on_host("peer_memory_without_access", peer_without_access, kAddress, "use-after-poison", two_devices()),
      on_host("cuda_call_in_host_function", call_in_host_function, kEvery, ""),
  };
}

std::vector<Row> rows_of_this_build() {
  std::vector<Row> rows;
  for (Row& row : table()) {
    if ((row.builds & SUITE_BUILD) != 0) rows.push_back(std::move(row));
  }
  return rows;
}

class Planted : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(Faults, Planted, testing::ValuesIn(rows_of_this_build()),
                         [](const auto& i) { return i.param.name; });

// In a child process, which a sanitizer or the device may end; a wrong result ends it, too.
TEST_P(Planted, IsCaught) {
  // ThreadSanitizer watches nothing after a fork without exec.
  testing::FLAGS_gtest_death_test_style = SUITE_BUILD == kThread ? "threadsafe" : "fast";
  const Row& row = GetParam();
  const bool by_result = row.evidence[0] == '\0' || row.evidence[0] == '|';
  EXPECT_EXIT(
      {
        simt::set_options(row.options);
        const double error = row.run();
        if (by_result && !(error <= row.tolerance)) {
          std::fputs("the result is wrong", stderr);
          std::_Exit(9);
        }
        std::_Exit(0);  // nothing was noticed
      },
      [](int status) { return status != 0; }, by_result ? "wrong|past the end" : row.evidence);
}

}  // namespace
}  // namespace simt_suite
