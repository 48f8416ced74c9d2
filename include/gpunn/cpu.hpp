// How an op is computed on the CPU, for ops defined inside and outside the library.
//
// The scheduler cuts the batch into slices whose size depends on shapes alone, and runs every slice through
// as many ops as possible before the next, on whichever thread is free. So results do not depend on the
// number of threads, and a slice's intermediate values stay in the cache of one core.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "gpunn/export.hpp"
#include "gpunn/graph.hpp"

namespace gpunn::cpu {

// Read by ops that depend on the step: dropout, optimizers. Lives in memory, so that a bound step stays
// right.
struct StepState {
  std::uint64_t seed = 0;
  std::int64_t step = 0;  // optimizer steps done before this one
  float learning_rate = 0;
  float gradient_scale = 1;  // multiplied into gradients before the update (clipping, accumulation)
};

// One piece of an op's work.
struct Slice {
  std::int64_t first =
      0;  // rows [first, first + rows) of the batch; for Rows::all implementations, all of them
  std::int64_t rows = 0;
  int task = 0;  // for Rows::all implementations: which of their `tasks` this is
  void* const* inputs =
      nullptr;  // batched operands point at row `first`; others at their start; null: absent
  void* const* outputs = nullptr;  // Rows::sum outputs: this slice's own partial result
  void* scratch =
      nullptr;  // Implementation::scratch bytes of this thread, 64-byte aligned, contents undefined
  const StepState* step = nullptr;
  unsigned accumulate = 0;  // bit k: add to output k instead of overwriting it

  template <class T = float>
  const T* in(int k) const {
    return static_cast<const T*>(inputs[k]);
  }
  template <class T = float>
  T* out(int k) const {
    return static_cast<T*>(outputs[k]);
  }
  template <class T = float>
  T* mutated(int k) const {
    return static_cast<T*>(inputs[k]);
  }  // an input that the op changes in place
  bool add(int k) const { return accumulate >> k & 1u; }
};

struct Implementation {
  std::string name;         // "simd gemm", "onednn jit:avx512": shown in the plan and asserted by tests
  std::string why;          // in a few words: why this one
  std::size_t scratch = 0;  // bytes a thread needs while it runs one slice
  int tasks = 0;            // 0: runs slice by slice. n > 0: needs the whole batch, as n independent tasks
  std::function<void(const Slice&)> run;
};

// What an implementation may depend on besides the call.
struct Target {
  std::int64_t slice_rows = 0;  // the most rows of a slice (a last one may be shorter); 0 while slices are
                                // being chosen: then only `tasks` and `name` of the answer are used
};

using Implement = Implementation (*)(const OpCall& call, const Target& target);

// Adds the CPU implementation of an op; throws UsageError when it has one.
GPUNN_API void register_op(std::string_view op, Implement implement);
// Throws UsageError "op '<name>' has no implementation on the cpu".
GPUNN_API Implement find_implementation(std::string_view op);
GPUNN_API bool has_implementation(std::string_view op);

}  // namespace gpunn::cpu
