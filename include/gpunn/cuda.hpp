// How an op is computed on an NVIDIA GPU, for ops defined inside and outside the library. No CUDA header
// here: a stream travels as an opaque pointer.
//
// A node sees the whole batch and queues its work on one stream; the calls of a step are captured as a CUDA
// graph and replayed, so an implementation must not allocate, wait, or bake in anything that changes from
// step to step: the seed, the step count and the learning rate lie in device memory (`step`).
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "gpunn/export.hpp"
#include "gpunn/graph.hpp"

namespace gpunn::cuda {

// The device an op is planned for: a real one, or the description of one that is not there.
struct Target {
  std::string name;      // "NVIDIA H100"
  int ordinal = -1;      // of a device that is there; -1: known by description only
  int architecture = 0;  // 90 for compute capability 9.0
  int multiprocessors = 1;
  std::size_t shared_per_block = 49'152;  // the opt-in limit, bytes
  bool tf32 = false;                      // operands of products and convolutions may be rounded to TF32
  bool libraries = true;                  // cuBLASLt and cuDNN may be used; else kernels of ours alone
  bool deterministic = true;              // the same bits every time
};

// One call of a bound node.
struct Launch {
  void* stream = nullptr;  // a cudaStream_t
  const Target* target = nullptr;
  void* const* inputs = nullptr;  // device memory; null: absent
  int input_count = 0;            // as the node was emitted: optional ones behind them are absent, too
  void* const* outputs = nullptr;
  void* scratch = nullptr;          // Implementation::scratch bytes, 256-byte aligned
  const void* constants = nullptr;  // Implementation::constants in device memory
  // In device memory: u64 seed, i64 step, f32 learning_rate, f32 gradient_scale.
  void* step = nullptr;
  void* libraries = nullptr;  // the backend's handles of cuBLASLt and cuDNN; not for ops outside the library
  unsigned accumulate = 0;    // bit k: add to output k instead of overwriting it

  template <class T = float>
  const T* in(int k) const {
    return k < input_count ? static_cast<const T*>(inputs[k]) : nullptr;
  }
  template <class T = float>
  T* out(int k) const {
    return static_cast<T*>(outputs[k]);
  }
  template <class T = float>
  T* mutated(int k) const {
    return static_cast<T*>(inputs[k]);
  }
  bool add(int k) const { return accumulate >> k & 1u; }
};

struct Implementation {
  std::string name;  // "own kernel", "cublaslt", "cudnn engine 34": shown in the plan and asserted by tests
  std::string why;   // in a few words: why this one
  std::size_t scratch = 0;  // bytes of device memory while the node runs
  std::string constants;    // bytes that are copied to the device when the node is bound
  int launches = 1;         // kernels that one call starts
  std::string
      fallback;  // what this stands in for, and why: told once, or refused; empty: it is what was wanted
  std::function<void(const Launch&)> run;
  // May be empty. Called once, when the node is bound, with the pointers of all its runs: for what depends on
  // them, as a library's algorithm does. Returns what the plan should now say; empty strings and 0 launches:
  // what it said before.
  struct Bound {
    std::string name, why, fallback;
    int launches = 0;
  };
  std::function<Bound(const Launch&)> prepare;
};

using Implement = Implementation (*)(const OpCall& call, const Target& target);

// Adds the CUDA implementation of an op; throws UsageError when it has one. Legal in a build without CUDA.
GPUNN_API void register_op(std::string_view op, Implement implement);
// Null when the op has none.
GPUNN_API Implement find_implementation(std::string_view op);

}  // namespace gpunn::cuda
