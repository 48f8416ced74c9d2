// What a step will do and use, known before anything is allocated: the product of scheduling and memory
// planning.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gpunn/graph.hpp"

namespace gpunn {

// What a user lets a device do.
struct Policy {
  bool allow_tf32 = false;    // products and convolutions may round their operands to TF32
  bool deterministic = true;  // the same bits every time
  bool strict = false;        // what stands in for something else is an error
};

// Where the planner put a value.
enum class Residence : std::uint8_t {
  external,  // a variable, or memory of the caller
  shared,    // the arena, all rows
  local,     // each thread's own small arena, the rows of one slice: it lives and dies within a region
};

struct PlannedValue {
  Residence residence = Residence::external;
  ValueId root =
      kNoValue;  // the value whose memory this one is (views, accumulated gradients); itself otherwise
  std::size_t offset = 0;  // into its arena
  std::size_t bytes = 0;   // of memory it occupies there
  // Where it is first written and last used; -1: never. Positions in Plan::nodes where it is local, in
  // Plan::regions where it is shared.
  int first = -1, last = -1;
  // Shared memory for the contribution of each slice to a sum, alive in these regions.
  std::size_t partial_offset = 0, partial_bytes = 0;
  int partial_first = -1, partial_last = -1;
};

struct PlannedNode {
  int node = 0;  // index in the graph; ~n for the step that gathers the rows of input n
  std::string op, layer, implementation, why;
  Segment segment = Segment::gradients;
  bool backward = false;
  int region = 0;
  int tasks = 0;                   // 0: slice by slice
  std::size_t scratch = 0;         // bytes per thread
  std::size_t scratch_offset = 0;  // in the workspace: nodes side by side on a gpu have each their own
  int launches = 0;                // kernels started, on a gpu
  std::string apart;               // there: why it is not one launch with the step before it
  Cost cost;
};

// A run of nodes with no barrier inside. A sliced region takes each slice of the batch through all of its
// nodes; any other runs the independent tasks of its nodes side by side, with the sums of partial results.
struct Region {
  bool sliced = false;
  Segment segment = Segment::gradients;
  int first = 0, count = 0;     // its steps: a range of Plan::nodes
  std::vector<ValueId> reduce;  // values whose partial results of the slices are summed here
};

// What all steps of a layer cost together; of the loss, the metrics and the optimizer likewise.
struct LayerCost {
  std::string layer;
  int steps = 0;
  Cost cost;
};

// Rows that a sample has in the batched inputs of `node`: 1, or more where steps have become rows.
inline std::int64_t rows_per_sample(const Graph& graph, const Node& node) {
  for (const ValueId id : node.inputs) {
    if (id != kNoValue && graph.value(id).batched && graph.batch() > 0)
      return graph.spec(id).shape[0] / graph.batch();
  }
  return 1;
}

struct Plan {
  std::string device;
  Policy policy;       // as far as it has an effect on that device
  bool sliced = true;  // the batch is cut into slices; else a node sees all rows, one node at a time
  std::int64_t batch = 0, slice_rows = 0, slices = 1;
  int threads = 1, workers = 1;    // workers: threads that this plan has work for
  std::vector<PlannedNode> nodes;  // in the order they run
  std::vector<Region> regions;
  std::vector<PlannedValue> values;  // by id
  std::vector<std::string> value_names;
  std::vector<Spec> value_specs;
  std::size_t arena_bytes = 0,
              arena_lower_bound = 0;  // shared; the bound is the most that is ever alive at once
  std::size_t local_bytes = 0, local_lower_bound = 0;  // per thread
  std::size_t scratch_bytes = 0;                       // per thread
  std::size_t variable_bytes = 0;                      // parameters, gradients, slots, state

  std::size_t total_bytes() const {
    return arena_bytes + static_cast<std::size_t>(workers) * (local_bytes + scratch_bytes) + variable_bytes;
  }
  Cost total_cost() const;
  std::vector<LayerCost> layer_costs() const;  // in the order of their first steps
  std::string to_text() const;                 // tables for people
  std::string to_json() const;
};

}  // namespace gpunn
