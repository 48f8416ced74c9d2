#include "src/graph/schedule.hpp"

#include <algorithm>
#include <cmath>

namespace gpunn {
namespace {

// A slice must be worth handing to another thread: some tens of microseconds of arithmetic.
constexpr double kSliceFlops = 4e6;
// What is alive of its values at one time should stay in a core's own cache.
constexpr double kSliceBytes = 512 * 1024;
// Each slice writes its own copy of every sum (weight gradients), so its rows must be worth that.
constexpr double kRowBytesPerPartialByte = 1.0;
// Matrix products want at least this many rows, as far as a small batch still leaves some slices to share
// out. Half as many are a few percent slower, and quicker where what is alive of the others leaves the last
// cache: two GRUs of 64 over 800 steps by a tenth.
constexpr double kTileRows = 8, kSmallBatchSlices = 4;
constexpr double kLastCacheBytes = 8 << 20;

// Nodes side by side on a device that does not slice: a weight gradient beside the data gradient is what
// there is.
constexpr int kBranches = 2;

// Where these copies are large, there are no more than this many: a larger batch makes larger slices instead.
constexpr double kLargePartials = 1 << 20, kMostLargePartials = 16;

constexpr int kWhole = -1;  // for Scheduler::tasks_: the backend does not slice

bool runs_per_slice(const Graph& graph, const Node& node, int tasks) {
  if (tasks != 0 || node.op->outputs.empty()) return false;
  for (const Rows rows : node.op->outputs) {
    if (rows == Rows::all) return false;
  }
  return std::any_of(node.inputs.begin(), node.inputs.end(),
                     [&](ValueId id) { return id != kNoValue && graph.value(id).batched; });
}

struct Weight {
  double flops = 0, row_bytes = 0, partial_bytes = 0;
  double alive_bytes = 0;  // of a row, at most at one time
};

// The value whose memory a view shows.
ValueId viewed(const Graph& graph, ValueId id) {
  for (;;) {
    const std::int32_t producer = graph.value(id).producer;
    if (producer < 0 || !graph.nodes()[static_cast<std::size_t>(producer)].op->view) return id;
    id = graph.nodes()[static_cast<std::size_t>(producer)].inputs[0];
  }
}

// The nodes that run slice by slice, in the order of the graph.
double alive_bytes_of_a_row(const Graph& graph, const std::vector<int>& tasks) {
  std::vector<std::size_t> last_reader(graph.values().size(), 0);
  const auto each = [&](auto visit) {
    for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
      const Node& node = graph.nodes()[i];
      if (runs_per_slice(graph, node, tasks[i]) && !node.op->view) visit(i, node);
    }
  };
  each([&](std::size_t i, const Node& node) {
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) last_reader[static_cast<std::size_t>(viewed(graph, id))] = i;
    }
  });
  double alive = 0, most = 0;
  const auto bytes = [&](ValueId id) {
    return graph.value(id).batched
               ? static_cast<double>(graph.spec(id).size_bytes()) / static_cast<double>(graph.batch())
               : 0.0;
  };
  std::vector<bool> made(graph.values().size());
  each([&](std::size_t i, const Node& node) {
    for (const ValueId id : node.outputs) alive += bytes(id), made[static_cast<std::size_t>(id)] = true;
    most = std::max(most, alive);
    const auto drop = [&](ValueId id) {
      const auto index = static_cast<std::size_t>(id);
      if (!made[index] || last_reader[index] > i) return;
      alive -= bytes(id);
      made[index] = false;
    };
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) drop(viewed(graph, id));
    }
    for (const ValueId id : node.outputs) drop(id);  // that nothing reads slice by slice
  });
  return most;
}

// What one row costs in the nodes that run slice by slice.
Weight weigh(const Graph& graph, const std::vector<int>& tasks) {
  Weight weight;
  const auto batch = static_cast<double>(graph.batch());
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!runs_per_slice(graph, node, tasks[i]) || node.op->view) continue;
    const auto call = graph.call(node);
    if (node.op->cost != nullptr) weight.flops += node.op->cost(call.call).flops / batch;
    for (const ValueId id : node.outputs) {
      const auto bytes = static_cast<double>(graph.spec(id).size_bytes());
      (graph.value(id).batched ? weight.row_bytes : weight.partial_bytes) +=
          graph.value(id).batched ? bytes / batch : bytes;
    }
  }
  weight.alive_bytes = alive_bytes_of_a_row(graph, tasks);
  return weight;
}

std::int64_t choose_slice_rows(std::int64_t batch, const Weight& weight) {
  if (batch <= 1) return std::max<std::int64_t>(batch, 1);
  const double for_flops = kSliceFlops / std::max(weight.flops, 1.0);
  const double for_partials =
      kRowBytesPerPartialByte * weight.partial_bytes / std::max(weight.row_bytes, 1.0);
  const double in_cache = kSliceBytes / std::max(weight.alive_bytes, 1.0);
  const double tile = kTileRows * weight.alive_bytes > kLastCacheBytes ? kTileRows / 2 : kTileRows;
  const double for_threads = std::min(tile, static_cast<double>(batch) / kSmallBatchSlices);
  const double for_memory =
      weight.partial_bytes > kLargePartials ? static_cast<double>(batch) / kMostLargePartials : 1.0;
  const double wanted = std::max({for_flops, for_threads, for_memory, std::min(for_partials, in_cache)});
  std::int64_t rows = 1;
  while (static_cast<double>(rows) < wanted && rows < batch) rows *= 2;
  return std::min(rows, batch);
}

// List scheduling: stay in the current sliced region as long as a node is ready for it, then run everything
// else that is ready side by side, and so on. Nodes keep their order where nothing else is gained.
class Scheduler {
 public:
  Scheduler(const Graph& graph, Plan& plan, std::vector<int> tasks)
      : graph_(graph),
        plan_(plan),
        tasks_(std::move(tasks)),
        done_(graph.nodes().size()),
        ready_value_(graph.values().size()),
        gathered_(graph.inputs().size()) {
    for (std::size_t i = 0; i < graph.values().size(); ++i) ready_value_[i] = graph.values()[i].producer < 0;
  }

  void run() {
    for (const Segment segment : {Segment::gradients, Segment::reduce, Segment::update}) {
      // What prepares the slices (packed weights) comes first, so that nothing divides them.
      if (plan_.sliced) parallel_region(segment);
      while (remaining(segment)) {
        const bool sliced = sliced_region(segment), whole = parallel_region(segment);
        if (!sliced && !whole) throw UsageError("the graph cannot be ordered: a node waits for itself");
      }
    }
  }

 private:
  bool remaining(Segment segment) const {
    for (std::size_t i = 0; i < done_.size(); ++i) {
      if (!done_[i] && graph_.nodes()[i].segment == segment) return true;
    }
    return false;
  }

  bool is_ready(const Node& node) const {
    const auto have = [&](ValueId id) {
      return id == kNoValue || ready_value_[static_cast<std::size_t>(id)];
    };
    return std::all_of(node.inputs.begin(), node.inputs.end(), have) &&
           std::all_of(node.accumulate.begin(), node.accumulate.end(), have);
  }

  // A device that does not slice has its own memory for inputs, filled before the step.
  void gather_inputs(const Node& node, Region& region) {
    if (!plan_.sliced) return;
    for (const ValueId id : node.inputs) {
      if (id == kNoValue || graph_.value(id).place.store != Store::input || !graph_.value(id).batched)
        continue;
      const std::size_t input = graph_.value(id).place.offset;
      if (gathered_[input]) continue;
      gathered_[input] = true;
      PlannedNode step;
      step.node = ~static_cast<int>(input);
      step.op = "gather";
      step.layer = graph_.value(id).name;
      step.implementation = "copy rows";
      step.why = "rows are chosen by index";
      step.segment = region.segment;
      step.region = static_cast<int>(plan_.regions.size());
      step.cost.bytes = 2.0 * static_cast<double>(graph_.spec(id).size_bytes());
      plan_.nodes.push_back(std::move(step));
      ++region.count;
    }
  }

  void append(std::size_t index, Region& region) {
    const Node& node = graph_.nodes()[index];
    done_[index] = true;
    PlannedNode step;
    step.node = static_cast<int>(index);
    step.op = node.op->name;
    step.layer = node.layer;
    step.segment = node.segment;
    step.backward = node.backward;
    step.region = static_cast<int>(plan_.regions.size());
    step.tasks = region.sliced ? 0 : std::max(tasks_[index], 1);
    const auto call = graph_.call(node);
    if (node.op->cost != nullptr) {
      step.cost = node.op->cost(call.call);
    } else if (!node.op->view) {
      for (const Spec& spec : call.inputs) step.cost.bytes += static_cast<double>(spec.size_bytes());
      for (const Spec& spec : call.outputs) step.cost.bytes += static_cast<double>(spec.size_bytes());
    }
    plan_.nodes.push_back(std::move(step));
    ++region.count;
  }

  Region next_region(bool sliced, Segment segment) const {
    Region region;
    region.sliced = sliced;
    region.segment = segment;
    region.first = static_cast<int>(plan_.nodes.size());
    return region;
  }

  bool sliced_region(Segment segment) {
    Region region = next_region(true, segment);
    ValueIds sums;
    for (std::size_t i = 0; i < done_.size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (done_[i] || node.segment != segment || !runs_per_slice(graph_, node, tasks_[i]) || !is_ready(node))
        continue;
      gather_inputs(node, region);
      append(i, region);
      for (std::size_t k = 0; k < node.outputs.size(); ++k) {
        // A sum is complete only when all slices are: its readers wait for the region's end.
        if (graph_.value(node.outputs[k]).batched) {
          ready_value_[static_cast<std::size_t>(node.outputs[k])] = true;
        } else {
          sums.push_back(node.outputs[k]);
        }
      }
    }
    if (region.count == 0) return false;
    plan_.regions.push_back(region);
    if (plan_.slices > 1) pending_reduce_.insert(pending_reduce_.end(), sums.begin(), sums.end());
    if (plan_.slices == 1) mark_ready(sums);
    return true;
  }

  bool parallel_region(Segment segment) {
    Region region = next_region(false, segment);
    region.reduce = std::move(pending_reduce_);
    pending_reduce_.clear();
    ValueIds made = region.reduce;
    Region inputs = next_region(true, segment);
    std::vector<std::size_t> chosen;
    int branches = 0;
    for (std::size_t i = 0; i < done_.size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (done_[i] || node.segment != segment) continue;
      if (runs_per_slice(graph_, node, tasks_[i]) || !is_ready(node)) continue;
      // Nodes of the update change variables in place: one after another, in the order they were emitted.
      const bool alone = node.op->outputs.empty() || node.op->mutates != 0;
      if (alone && branches > 0) break;
      gather_inputs(node, inputs);
      chosen.push_back(i);
      made.insert(made.end(), node.outputs.begin(), node.outputs.end());
      if (alone || (tasks_[i] == kWhole && !node.op->view && ++branches == kBranches)) break;
    }
    if (inputs.count > 0) {
      plan_.regions.push_back(inputs);
      region.first = static_cast<int>(plan_.nodes.size());
    }
    for (const std::size_t i : chosen) append(i, region);
    if (region.count == 0 && region.reduce.empty()) return false;
    plan_.regions.push_back(region);
    mark_ready(made);
    return true;
  }

  void mark_ready(const ValueIds& ids) {
    for (const ValueId id : ids) ready_value_[static_cast<std::size_t>(id)] = true;
  }

  const Graph& graph_;
  Plan& plan_;
  std::vector<int> tasks_;
  std::vector<bool> done_, ready_value_, gathered_;
  ValueIds pending_reduce_;
};

}  // namespace

void schedule(const Graph& graph, const Backend& backend, Plan& plan) {
  std::vector<int> tasks;
  for (const Node& node : graph.nodes()) {
    const auto call = graph.call(node);
    const int wanted = node.op->view ? 0 : backend.choose(call.call, 0, plan.policy).tasks;
    tasks.push_back(backend.slices_batch() ? wanted : kWhole);
  }
  plan.sliced = backend.slices_batch();
  plan.batch = std::max<std::int64_t>(graph.batch(), 0);
  plan.slice_rows = plan.sliced ? choose_slice_rows(plan.batch, weigh(graph, tasks)) : plan.batch;
  plan.slices = plan.batch == 0 ? 1 : (plan.batch + plan.slice_rows - 1) / plan.slice_rows;
  Scheduler(graph, plan, std::move(tasks)).run();

  for (PlannedNode& step : plan.nodes) {
    if (step.node < 0) continue;
    const Node& node = graph.nodes()[static_cast<std::size_t>(step.node)];
    if (node.op->view) {
      step.implementation = "view", step.why = "the same elements under another shape";
      continue;
    }
    const auto call = graph.call(node);
    const Choice chosen =
        backend.choose(call.call, plan.slice_rows * rows_per_sample(graph, node), plan.policy);
    if (plan.policy.strict && !chosen.fallback.empty())
      refuse_fallback(call.call, node.layer, chosen.fallback);
    step.implementation = chosen.name;
    step.why = chosen.why;
    step.scratch = chosen.scratch;
    step.launches = chosen.launches;
  }
}

}  // namespace gpunn
