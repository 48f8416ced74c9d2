// Order and regions: which node runs when, and where barriers are.
#pragma once

#include "src/ir/backend.hpp"

namespace gpunn {

// Chooses implementations, slices the batch, and fills Plan::nodes and Plan::regions. The size of a slice
// depends on the graph alone, so the order of every sum does too, whatever the number of threads.
void schedule(const Graph& graph, const Backend& backend, Plan& plan);

}  // namespace gpunn
