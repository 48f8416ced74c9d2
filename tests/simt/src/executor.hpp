// The executor: runs the threads of one block after another as fibers. Everything it needs to know about a
// block is here, shared by the scheduler (executor.cpp), the collectives and the reports.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "fiber.hpp"
#include "random.hpp"
#include "simt/simt.hpp"

namespace simt {

// One launch, as the runtime hands it over.
struct Grid {
  dim3 grid;
  dim3 block;
  std::size_t dynamic_bytes = 0;
  void (*call)(const void* kernel, void** parameters) = nullptr;
  const void* kernel = nullptr;
  void** parameters = nullptr;
};

// The error of a fault that ended it (only with OnFault::error; else the process is gone).
cudaError_t run_grid(const Grid& grid);

enum class State : unsigned char { ready, at_barrier, at_collective, returned };

struct Thread : Fiber {
  Thread();
  uint3 index{};
  unsigned linear = 0;
  State state = State::ready;
  Location where;     // of the barrier or collective it waits at
  unsigned mask = 0;  // of that collective
};

// The lanes that name one mask meet here. Two rounds of values: a lane that is through may arrive at the next
// collective before the others have read this one.
struct MaskGroup {
  unsigned mask = 0;
  unsigned arrived = 0;
  unsigned unread = 0;
  unsigned round = 0;
  Collective kind{};
  Location where;
  Lanes lanes[2];
};

inline constexpr std::size_t kWarpScratch = 16 << 10;

struct Warp {
  unsigned exited = 0;
  unsigned groups_used = 0;
  // Each lane waits in at most one group, so 32 groups are enough.
  std::array<MaskGroup, 32> groups;
  alignas(32) unsigned char scratch[kWarpScratch];
};

// What ThreadSanitizer is told to synchronise through. A block's own: through tokens that the next block uses
// again, the two would be ordered.
struct Tokens {
  char barrier[2];
  char fence;
  char group[32][32][2];  // of a warp's groups
};

// The state of the block that is running. There is one: launches are serialised.
struct Block {
  const Grid* launch = nullptr;
  unsigned size = 0;
  std::vector<std::unique_ptr<Thread>> threads;  // at least `size`; kept for the next launch
  std::vector<std::unique_ptr<Warp>> warps;
  std::vector<Thread*> ready_now, ready_next;
  Thread* running = nullptr;
  unsigned returned = 0;
  unsigned barrier_round = 0;
  std::unique_ptr<Tokens> tokens = std::make_unique<Tokens>();
  int reduction[2][3];
  bool faulted = false;
  cudaError_t fault = cudaSuccess;  // the code the device dies of
  Random random{0};
  Counters* counters = nullptr;

  Warp& warp_of(const Thread& t) { return *warps[t.linear / 32]; }
  void wake(Thread& t) {
    t.state = State::ready;
    ready_next.push_back(&t);
  }
};

extern Block block;

bool in_kernel();  // is a CUDA thread running?

// A collective of `warp` may have been waiting for the lane that just returned.
void lane_returned(Thread& thread);
void* warp_scratch(std::size_t bytes);

// Makes the report and, unless faults are errors, ends the process.
void report_fault(cudaError_t code, const std::string& what, const Location& at);
// The same, from inside a kernel.
[[noreturn]] void fail_with(cudaError_t code, const std::string& what, const Location& at);

}  // namespace simt
