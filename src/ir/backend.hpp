// What the planner needs of a device, and how a plan is bound to it. One per kind of device, found by name.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gpunn/cpu.hpp"
#include "src/core/thread_pool.hpp"
#include "src/ir/plan.hpp"
#include "src/ir/variables.hpp"
#include "src/memory/block_cache.hpp"

namespace gpunn {

// Rows that do not change as long as their `id` is used, which is no other source's.
struct Source {
  std::uint64_t id = 0;
  const void* base = nullptr;
  std::int64_t rows = 0;
};

// A planned graph bound to a device: what a training loop runs, many times.
class Executable {
 public:
  virtual ~Executable() = default;

  // Announces that the rows of input `number` will be taken from these: a device with memory of its own may
  // keep a copy there, and does nothing when it has it already.
  virtual void set_source(int number, const Source& source) {
    static_cast<void>(number), static_cast<void>(source);
  }
  // The rows of input `number` for the next run: row i is row (row_index ? row_index[i] : i) of `base`,
  // packed. Both must stay valid until the run has ended.
  virtual void set_input(int number, const void* base, const std::int64_t* row_index) = 0;

  // Runs one segment, or all of them. Allocates nothing. Throws Error when an implementation does; the
  // variables are changed only by Segment::update.
  virtual void run(Segment segment, const cpu::StepState& step) = 0;
  virtual void run(const cpu::StepState& step) {
    for (const Segment segment : {Segment::gradients, Segment::reduce, Segment::update}) run(segment, step);
  }

  // Announces that run(step) will be called this many times with nothing read or changed in between: a device
  // may hold such steps back and start them all at once.
  virtual void set_group(int steps) { static_cast<void>(steps); }
  virtual void flush() {}  // starts what was held back

  virtual const void* output(int number) const = 0;  // host memory, valid until the model runs again
  // Adds to totals[i] what the runs since the last call left in element i of Store::results: (sum, weight)
  // pairs. Waits for them.
  virtual void add_results(std::span<double> totals) = 0;
  virtual const Plan& plan() const = 0;
};

// A graph after the passes, and its plan. Nothing is allocated for it yet.
struct Planned {
  Graph graph;
  Plan plan;
};

// How one call will be computed.
struct Choice {
  std::string name, why;    // as in cpu::Implementation
  std::size_t scratch = 0;  // bytes: of each thread on the cpu, of the node on a gpu
  int tasks = 0;            // 0: may run slice by slice
  int launches = 0;         // kernels started, on a gpu
  std::string fallback;     // what it stands in for, and why; empty: it is what was wanted
};

// Throws the DeviceError of a fallback where Policy::strict is set: op, layer, shapes, reason, user's line.
[[noreturn]] GPUNN_API void refuse_fallback(const OpCall& call, std::string_view layer,
                                            std::string_view fallback);

class Backend {
 public:
  virtual ~Backend() = default;
  // Whether a model can run on it; else steps can be planned for it, and nothing more.
  virtual bool runs() const { return true; }
  // Whether the batch is cut into slices; else every node sees all rows, one node at a time.
  virtual bool slices_batch() const = 0;
  virtual bool computes(std::string_view op) const = 0;  // whether it has an implementation of that op
  // What of a policy has an effect. Unless a device says otherwise it computes in fp32, the same bits every
  // time.
  virtual Policy in_effect(Policy asked) const {
    asked.allow_tf32 = false, asked.deterministic = true;
    return asked;
  }
  virtual Choice choose(const OpCall& call, std::int64_t slice_rows, const Policy& policy) const = 0;
  // Of the device's own memory; null: it has none.
  virtual BlockCache* memory() const { return nullptr; }
  // Floats that a recurrent node must keep per row and step for the way in which it is computed here, where
  // that is more than the op says; else 0.
  virtual std::int64_t recurrent_reserve(const OpCall& call, const Policy& policy) const {
    static_cast<void>(call), static_cast<void>(policy);
    return 0;
  }
  // Under the policy of the plan.
  virtual std::unique_ptr<Executable> bind(Planned planned, VariableStore& variables,
                                           ThreadPool& pool) const = 0;
};

// Throws DeviceError naming the devices that there are to run on.
const Backend& find_backend(std::string_view device, SourceLocation where = {});
bool has_backend(std::string_view device);  // to run on, or to plan for
std::vector<std::string> backend_names();   // to run on
// A backend that was loaded later takes part from then on. Throws UsageError when the name is taken.
GPUNN_API void register_backend(std::string device, std::unique_ptr<Backend> backend);

}  // namespace gpunn
