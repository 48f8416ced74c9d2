// Three small ops, registered as an application would, to test the scheduler apart from the library's own
// ops.
#pragma once

#include "gpunn/cpu.hpp"
#include "gpunn/graph.hpp"

namespace gpunn::toy {

// toy_scale: x [batch, n] -> 2 x (each).  toy_total: x [batch, n] -> [n], the sum of the rows (sum; gradient:
// ones). toy_center: x [batch, n] -> x minus the mean row (all, two tasks).  toy_total_large: toy_total as
// one task.
void register_once();

}  // namespace gpunn::toy
