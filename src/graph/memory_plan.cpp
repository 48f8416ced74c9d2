#include "src/graph/memory_plan.hpp"

#include <algorithm>
#include <numeric>

namespace gpunn {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t padded(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// A block that must not share bytes with another one alive at the same time.
struct Block {
  std::size_t bytes = 0;
  int first = 0, last = 0;
  std::size_t* offset = nullptr;  // where the answer goes
};

bool meet(const Block& a, const Block& b) {
  return a.first <= b.last && b.first <= a.last;
}

// Largest first, each at the lowest offset that is free for its whole life.
std::size_t assign_offsets(std::vector<Block>& blocks) {
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const Block& a, const Block& b) { return a.bytes > b.bytes; });
  std::size_t end = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    std::vector<std::pair<std::size_t, std::size_t>> taken;
    for (std::size_t j = 0; j < i; ++j) {
      if (meet(blocks[i], blocks[j]))
        taken.emplace_back(*blocks[j].offset, *blocks[j].offset + blocks[j].bytes);
    }
    std::sort(taken.begin(), taken.end());
    std::size_t at = 0;
    for (const auto& [begin, stop] : taken) {
      if (at + blocks[i].bytes <= begin) break;
      at = std::max(at, stop);
    }
    *blocks[i].offset = at;
    end = std::max(end, at + blocks[i].bytes);
  }
  return end;
}

// The most bytes that are alive at any one time: no assignment can need less.
std::size_t lower_bound(const std::vector<Block>& blocks) {
  std::size_t most = 0;
  for (const Block& at : blocks) {
    std::size_t alive = 0;
    for (const Block& other : blocks) {
      if (other.first <= at.first && at.first <= other.last) alive += other.bytes;
    }
    most = std::max(most, alive);
  }
  return most;
}

class MemoryPlanner {
 public:
  MemoryPlanner(const Graph& graph, Plan& plan) : graph_(graph), plan_(plan), uses_(graph.values().size()) {}

  void run() {
    plan_.values.assign(graph_.values().size(), {});
    for (const Value& value : graph_.values()) {
      plan_.value_names.push_back(value.name);
      plan_.value_specs.push_back(value.spec);
    }
    find_roots();
    collect_uses();
    for (std::size_t id = 0; id < graph_.values().size(); ++id) place(id);
    plan_.local_bytes = assign_offsets(local_);
    plan_.arena_bytes = assign_offsets(shared_);
    plan_.local_lower_bound = lower_bound(local_);
    plan_.arena_lower_bound = lower_bound(shared_);
    for (PlannedValue& value : plan_.values) {  // views and accumulated values are where their root is
      const PlannedValue& root = plan_.values[static_cast<std::size_t>(value.root)];
      value.residence = root.residence, value.offset = root.offset, value.bytes = root.bytes;
      value.first = root.first, value.last = root.last;
    }
  }

 private:
  struct Uses {
    int first_step = -1, last_step = -1, first_region = -1, last_region = -1;
  };

  ValueId root_of(ValueId id) const {
    while (plan_.values[static_cast<std::size_t>(id)].root != id)
      id = plan_.values[static_cast<std::size_t>(id)].root;
    return id;
  }

  void find_roots() {
    for (std::size_t id = 0; id < plan_.values.size(); ++id) plan_.values[id].root = static_cast<ValueId>(id);
    for (const Node& node : graph_.nodes()) {
      if (node.op->view) join(node.outputs[0], node.inputs[0]);
      for (std::size_t k = 0; k < node.accumulate.size(); ++k) {
        if (node.accumulate[k] != kNoValue) join(node.outputs[k], node.accumulate[k]);
      }
    }
    for (std::size_t id = 0; id < plan_.values.size(); ++id)
      plan_.values[id].root = root_of(static_cast<ValueId>(id));
  }

  // Gives two values one memory: that of the one with a place of its own, if either has.
  void join(ValueId a, ValueId b) {
    ValueId from = root_of(a), to = root_of(b);
    const auto has_place = [&](ValueId id) { return graph_.value(id).place.store != Store::arena; };
    if (from == to) return;
    if (has_place(from) && has_place(to)) {
      throw UsageError("values '" + graph_.value(a).name + "' and '" + graph_.value(b).name +
                       "' share memory but are placed apart");
    }
    if (has_place(from)) std::swap(from, to);
    plan_.values[static_cast<std::size_t>(from)].root = to;
  }

  void use(ValueId id, int step, int region) {
    if (id == kNoValue) return;
    Uses& uses = uses_[static_cast<std::size_t>(plan_.values[static_cast<std::size_t>(id)].root)];
    if (uses.first_step < 0) uses.first_step = step, uses.first_region = region;
    uses.last_step = std::max(uses.last_step, step);
    uses.last_region = std::max(uses.last_region, region);
  }

  void collect_uses() {
    const std::vector<ValueId> inputs = graph_.inputs();
    for (std::size_t step = 0; step < plan_.nodes.size(); ++step) {
      const PlannedNode& planned = plan_.nodes[step];
      const auto at = static_cast<int>(step);
      if (planned.node < 0) {
        use(inputs[static_cast<std::size_t>(~planned.node)], at, planned.region);
        continue;
      }
      const Node& node = graph_.nodes()[static_cast<std::size_t>(planned.node)];
      for (const ValueId id : node.inputs) use(id, at, planned.region);
      for (const ValueId id : node.outputs) use(id, at, planned.region);
    }
    for (std::size_t r = 0; r < plan_.regions.size(); ++r) {
      const Region& region = plan_.regions[r];
      for (const ValueId id : region.reduce) {
        const int last_step = region.first + std::max(region.count - 1, 0);
        use(id, last_step, static_cast<int>(r));
        reserve_partial(id, static_cast<int>(r));
      }
    }
  }

  // Memory for the slices' contributions to the sum `id`, from the region that makes them to the one that
  // adds them.
  void reserve_partial(ValueId id, int reduced_in) {
    PlannedValue& value = plan_.values[static_cast<std::size_t>(id)];
    value.partial_bytes = padded(graph_.spec(id).size_bytes());
    int made_in = reduced_in;
    for (const PlannedNode& step : plan_.nodes) {
      if (step.node >= 0 && step.node == graph_.value(id).producer) made_in = step.region;
    }
    value.partial_first = made_in, value.partial_last = reduced_in;
    shared_.push_back({value.partial_bytes * static_cast<std::size_t>(plan_.slices), made_in, reduced_in,
                       &value.partial_offset});
  }

  void place(std::size_t id) {
    PlannedValue& value = plan_.values[id];
    const Value& v = graph_.values()[id];
    const Uses& uses = uses_[id];
    if (value.root != static_cast<ValueId>(id) || uses.first_step < 0) return;
    const bool output = v.place.store == Store::output;
    const bool staged = v.place.store == Store::input && v.batched && plan_.sliced;
    if (v.place.store != Store::arena && !output && !staged) return;

    const bool one_region = uses.first_region == uses.last_region &&
                            plan_.regions[static_cast<std::size_t>(uses.first_region)].sliced;
    if (v.batched && one_region && !output) {
      const std::size_t row =
          v.spec.size_bytes() / static_cast<std::size_t>(std::max<std::int64_t>(plan_.batch, 1));
      value.residence = Residence::local;
      value.bytes = padded(row * static_cast<std::size_t>(plan_.slice_rows));
      value.first = uses.first_step, value.last = uses.last_step;
      local_.push_back({value.bytes, value.first, value.last, &value.offset});
    } else {
      value.residence = Residence::shared;
      value.bytes = padded(v.spec.size_bytes());
      // An output is read after the step: nothing may be put there once it is made.
      value.first = uses.first_region,
      value.last = output ? static_cast<int>(plan_.regions.size()) : uses.last_region;
      shared_.push_back({value.bytes, value.first, value.last, &value.offset});
    }
  }

  const Graph& graph_;
  Plan& plan_;
  std::vector<Uses> uses_;
  std::vector<Block> local_, shared_;
};

}  // namespace

// A thread runs one node at a time. On a device that does not slice, the nodes of a region run at once.
static void place_scratch(Plan& plan) {
  std::size_t end = 0;
  int region = -1;
  for (PlannedNode& step : plan.nodes) {
    if (plan.sliced || step.region != region) end = 0;
    region = step.region;
    step.scratch_offset = end;
    constexpr std::size_t kDeviceAlignment = 256;
    end += (step.scratch + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
    plan.scratch_bytes = std::max(plan.scratch_bytes, plan.sliced ? padded(step.scratch) : end);
  }
}

void plan_memory(const Graph& graph, Plan& plan) {
  MemoryPlanner(graph, plan).run();
  place_scratch(plan);
  std::int64_t most_tasks = plan.slices;  // that run at one time; sums of partial results need no memory
  for (const Region& region : plan.regions) {
    std::int64_t tasks = 0;
    for (int i = 0; i < region.count; ++i)
      tasks += plan.nodes[static_cast<std::size_t>(region.first + i)].tasks;
    most_tasks = std::max(most_tasks, tasks);
  }
  plan.workers =
      static_cast<int>(std::min<std::int64_t>(plan.threads, std::max<std::int64_t>(most_tasks, 1)));
}

}  // namespace gpunn
