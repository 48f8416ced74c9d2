// Where every value of a step lives: lifetimes to offsets.
#pragma once

#include "src/ir/plan.hpp"

namespace gpunn {

// Fills Plan::values and the arena sizes of a scheduled plan.
//
// A batched value that lives and dies within one sliced region needs only the rows of one slice, once per
// thread: it goes to the thread's local arena, where lifetimes are counted in steps. Everything else lies in
// the shared arena, where lifetimes are counted in regions, because within a region the slices are at
// different steps.
void plan_memory(const Graph& graph, Plan& plan);

}  // namespace gpunn
