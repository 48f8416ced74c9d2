// From a graph to something that runs: passes, schedule, memory plan, binding.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "src/ir/backend.hpp"

namespace gpunn {

struct CompileOptions {
  std::string device = "cpu";
  bool fuse = true;  // false: every op as it was emitted (the oracle for the passes)
  Policy policy = {};
};

// The passes over a forward graph, to be run before gradients(): epilogues, losses with their activations,
// convolution with its pool. Placed values (outputs, results) keep their ids.
// Only ops that `device` computes are made.
void fuse_forward(Graph& graph, std::string_view device = "cpu");

// The last passes, the schedule and the memory plan. Allocates no memory of the device.
Planned plan_graph(Graph graph, const VariableStore& variables, int threads,
                   const CompileOptions& options = {});

// Plans the graph and binds it. `variables` and `pool` must outlive the executable; the store must be
// allocated.
std::unique_ptr<Executable> compile(Graph graph, VariableStore& variables, ThreadPool& pool,
                                    const CompileOptions& options = {});

}  // namespace gpunn
