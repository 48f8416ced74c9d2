// How a test speaks to the software device: the choice of schedule and device, what was reported, what was
// counted. Plain C++; kernels do not need it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace simt {

// In which order the threads of a block (and the blocks of a grid) take their turns.
enum class Order { forward, reverse, random };

// When queued work runs: at once; as late as possible, and only what is waited for; at random, in any order
// that streams and events permit.
enum class Streams { eager, lazy, random };

// What ThreadSanitizer takes for a thread. It tells 256 of them apart: the threads of a block of that size use
// up its memory of each other and of the blocks before, and races between warps or blocks pass unseen.
enum class Identities {
  thread,  // each CUDA thread: races within a warp, and others where blocks are small
  warp,    // each warp of each block: races between warps and between blocks
};

enum class OnFault {
  abort,  // print the report and end the process
  error,  // keep the report; the launch fails as on a GPU: late, and for good (until cudaDeviceReset)
};

struct Options {
  Order order = Order::forward;
  Streams streams = Streams::eager;
  std::uint64_t seed = 1;  // of random orders and of perturbed maths
  // Under ThreadSanitizer, blocks count as running at the same time, so that races between them are found.
  bool concurrent_blocks = true;
  Identities identities = Identities::thread;
  // Approximate functions return results within their documented error, not the exact one.
  bool perturb_math = false;
  OnFault on_fault = OnFault::abort;
  int devices = 1;                                   // 0, 1 or 2
  int architecture = 90;                             // 75, 80, 89, 90, 100 or 120: limits and properties
  std::size_t device_memory = std::size_t{2} << 30;  // per device; cudaMalloc fails beyond it
  // Under AddressSanitizer, device memory and the buffers of pending copies are closed to the host.
  bool protect = true;

  // The defaults, changed by SIMT_ORDER, SIMT_STREAMS, SIMT_SEED, SIMT_CONCURRENT_BLOCKS, SIMT_IDENTITIES,
  // SIMT_PERTURB_MATH, SIMT_ON_FAULT, SIMT_DEVICES, SIMT_ARCHITECTURE.
  static Options from_environment();
};

const Options& options();

// Finishes all queued work, forgets streams' errors, and starts the random sequences anew: what follows
// depends on the options alone. Memory stays allocated.
void set_options(const Options& options);

// The last fault's report, or nothing; and how often one was made since set_options.
std::string last_report();
std::size_t report_count();

// What a launch did. `global_*` and `shared_*` need the kernels to be built for counting (simt_count in the
// README); the rest is always there. A request is one access of one warp.
struct Counters {
  std::string kernel;
  std::uint64_t blocks = 0;
  std::uint64_t threads = 0;
  std::uint64_t barriers = 0;  // per block: a barrier of 256 threads counts once
  std::uint64_t warp_barriers = 0;
  std::uint64_t shuffles = 0;  // per warp; votes, match and reduce included
  std::uint64_t atomics = 0;   // per thread

  bool accesses_counted = false;
  std::uint64_t global_load_requests = 0;
  std::uint64_t global_store_requests = 0;
  std::uint64_t global_load_sectors = 0;  // of 32 bytes
  std::uint64_t global_store_sectors = 0;
  std::uint64_t global_load_bytes = 0;  // asked for by threads
  std::uint64_t global_store_bytes = 0;
  std::uint64_t shared_requests = 0;
  std::uint64_t shared_wavefronts = 0;
  std::uint64_t bank_conflicts = 0;  // wavefronts beyond those that the width of the access needs

  double sectors_per_load() const { return ratio(global_load_sectors, global_load_requests); }
  double sectors_per_store() const { return ratio(global_store_sectors, global_store_requests); }

 private:
  static double ratio(std::uint64_t a, std::uint64_t b) {
    return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b);
  }
};

// Of every launch that has run since the last clear, in order.
const std::vector<Counters>& launches();
void clear_launches();

// Installs a plan in the JSON of NVIDIA's cufaultinj ("cudaRuntimeFaults": {"cudaMalloc": {...}}); an empty
// string takes it away. Beyond NVIDIA's fields, "skip": n lets n matching calls pass, so that call n + 1 is
// the first to fail. FAULT_INJECTOR_CONFIG_PATH names a file that is loaded at start. Throws
// std::invalid_argument on a plan it cannot read.
void inject_faults(std::string_view json);

// How often the runtime was called, by name ("cudaMalloc"), and in all ("*"): the length of a k-th call loop.
std::uint64_t calls(std::string_view name);
void clear_calls();

// Live allocations on a device, for leak checks.
std::size_t live_allocations(int device);

// What ptxas found: occupancy is computed from it. Unknown kernels count as using 32 registers.
void set_registers(const void* kernel, int registers);

}  // namespace simt
