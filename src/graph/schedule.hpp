// Order and regions: which node runs when, and where barriers are.
#pragma once

#include "src/ir/backend.hpp"

namespace gpunn {

// Chooses implementations, slices the batch, and fills Plan::nodes and Plan::regions. The size of a slice
// depends on the graph alone, so the order of every sum does too, whatever the number of threads.
void schedule(const Graph& graph, const Backend& backend, Plan& plan);

// Fills PlannedNode::apart: why each node is a launch of its own, on a device that takes one node after
// another.
void explain_launches(const Graph& graph, Plan& plan);

}  // namespace gpunn
