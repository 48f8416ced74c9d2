// A planned graph bound to a device: what a training loop runs, many times.
#pragma once

#include <memory>
#include <string>

#include "gpunn/cpu.hpp"
#include "src/core/thread_pool.hpp"
#include "src/graph/plan.hpp"
#include "src/graph/variables.hpp"

namespace gpunn {

class Executable {
 public:
  virtual ~Executable() = default;

  // The rows of input `number` for the next run: row i is row (row_index ? row_index[i] : i) of `base`,
  // packed. Both must stay valid until the run has ended.
  virtual void set_input(int number, const void* base, const std::int64_t* row_index) = 0;

  // Runs one segment, or all of them. Allocates nothing. Throws Error when an implementation does; the
  // variables are changed only by Segment::update.
  virtual void run(Segment segment, const cpu::StepState& step) = 0;
  void run(const cpu::StepState& step) {
    for (const Segment segment : {Segment::gradients, Segment::reduce, Segment::update}) run(segment, step);
  }

  virtual const void* output(int number) const = 0;  // host memory, valid until the next run
  virtual const Plan& plan() const = 0;
};

struct CompileOptions {
  std::string device = "cpu";
  bool fuse = true;  // false: every op as it was emitted (the oracle for the passes)
};

// The passes over a forward graph, to be run before gradients(): epilogues, losses with their activations,
// convolution with its pool. Placed values (outputs, results) keep their ids.
void fuse_forward(Graph& graph);

// The graph after the last passes, and its plan. Allocates no device memory.
struct Planned {
  Graph graph;
  Plan plan;
};
Planned plan_graph(Graph graph, const VariableStore& variables, int threads,
                   const CompileOptions& options = {});

// Plans the graph and binds it. `variables` and `pool` must outlive the executable; the store must be
// allocated.
std::unique_ptr<Executable> compile(Graph graph, VariableStore& variables, ThreadPool& pool,
                                    const CompileOptions& options = {});

}  // namespace gpunn
