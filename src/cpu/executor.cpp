#include "src/cpu/executor.hpp"

#include <algorithm>
#include <cstring>

#include "src/core/copy_rows.hpp"
#include "src/core/host_memory.hpp"
#include "src/core/text.hpp"
#include "src/core/trace.hpp"
#include "src/cpu/simd/dispatch.hpp"

namespace gpunn::cpu {
namespace {

constexpr std::int64_t kReduceChunk = 4096;  // elements of a sum that one task adds up
constexpr std::size_t kMaxOperands = 16;     // inputs, and outputs, of one op

// Where an operand is for slice s of worker w: bases[w][base] + offset + first_row * row_stride + s *
// slice_stride.
struct Operand {
  int base = 0;
  std::ptrdiff_t offset = 0, row_stride = 0, slice_stride = 0;
};

constexpr int kAbsolute = 0, kLocal = 1, kFirstInput = 2;

struct Step {
  std::function<void(const Slice&)> run;  // empty for views
  std::vector<Operand> inputs, outputs;   // an absent input is {kAbsolute, 0}: a null pointer
  unsigned accumulate = 0;
  int tasks = 0;
  std::int64_t rows = 0;  // what a task sees as Slice::rows
  std::int64_t per_sample = 1;
  int gathers = -1;          // the input whose rows this step gathers
  std::string name, detail;  // of its range in a trace
  Cost cost;
};

struct Reduction {
  float* sum = nullptr;
  const std::byte* partials = nullptr;
  std::size_t stride = 0;
  std::int64_t elements = 0;
  bool add = false;
};

struct BoundRegion {
  bool sliced = false;
  Segment segment = Segment::gradients;
  std::size_t first = 0, count = 0;
  std::vector<Reduction> reductions;
  int tasks = 0;
  std::string name;
};

struct Input {
  std::int64_t row_bytes = 0;
  const std::byte* base = nullptr;
  const std::int64_t* index = nullptr;
  bool staged = true;  // readers look at the gathered rows
  Operand staging, direct;
  std::vector<Operand*> readers;
};

void add_partials(const Reduction& r, std::int64_t begin, std::int64_t end, std::int64_t slices) {
  simd::kernels().optimizer.sum_parts(end - begin, slices, reinterpret_cast<const float*>(r.partials) + begin,
                                      static_cast<std::int64_t>(r.stride / sizeof(float)), r.sum + begin,
                                      r.add);
}

// The memory of a model's steps. They run one after the other and leave nothing there for the next, so all
// that fit into the largest bound so far share it.
class Arenas final : public DeviceContext {
 public:
  static Arenas& of(VariableStore& store) {
    auto arenas = std::dynamic_pointer_cast<Arenas>(store.context());
    if (!arenas) store.set_context(arenas = std::make_shared<Arenas>());
    return *arenas;
  }

  std::shared_ptr<std::byte> shared(std::size_t bytes) {
    return shared_.at_least(bytes, "the arena of a step");
  }
  std::shared_ptr<std::byte> of_threads(std::size_t bytes) {
    return of_threads_.at_least(bytes, "the threads' arenas of a step");
  }

 private:
  struct Block {
    std::shared_ptr<std::byte> memory;
    std::size_t bytes = 0;

    // A step that is bound to a smaller block keeps that.
    std::shared_ptr<std::byte> at_least(std::size_t wanted, std::string_view purpose) {
      if (memory == nullptr || bytes < wanted) {
        memory = allocate_host_shared(wanted, purpose);
        bytes = wanted;
      }
      return memory;
    }
  };
  Block shared_, of_threads_;
};

class Executor final : public Executable {
 public:
  Executor(Planned planned, VariableStore& variables, ThreadPool& pool)
      : graph_(std::move(planned.graph)), plan_(std::move(planned.plan)), variables_(variables), pool_(pool) {
    allocate();
    bind_inputs();
    for (const PlannedNode& step : plan_.nodes)
      steps_.push_back(named(step.node < 0 ? gather_step(step) : node_step(step), step));
    collect_readers();
    for (const Region& region : plan_.regions) bind_region(region);
  }

  using Executable::run;

  void set_input(int number, const void* base, const std::int64_t* row_index) override {
    Input& input = inputs_.at(static_cast<std::size_t>(number));
    input.base = static_cast<const std::byte*>(base);
    input.index = row_index;
    for (auto& bases : bases_)
      bases[static_cast<std::size_t>(kFirstInput + number)] = const_cast<std::byte*>(input.base);
    const bool staged = row_index != nullptr;
    if (staged == input.staged) return;
    input.staged = staged;
    for (Operand* reader : input.readers) *reader = staged ? input.staging : input.direct;
  }

  void run(Segment segment, const StepState& state) override {
    constexpr const char* kPhases[] = {"gradients", "reduce", "update"};
    const trace::Range phase({"phase", kPhases[static_cast<std::size_t>(segment)]});
    for (const BoundRegion& region : regions_) {
      if (region.segment != segment) continue;
      const trace::Range range({"region", region.name});
      if (region.sliced) {
        pool_.run(static_cast<int>(plan_.slices),
                  [&](int slice, int worker) { run_slice(region, state, slice, slot(slice, worker)); });
      } else {
        pool_.run(region.tasks,
                  [&](int task, int worker) { run_task(region, state, task, slot(task, worker)); });
      }
    }
    if (segment == Segment::gradients) collect_results();
  }

  void add_results(std::span<double> totals) override {
    for (std::size_t i = 0; i < std::min(totals.size(), result_totals_.size()); ++i)
      totals[i] += result_totals_[i];
    std::fill(result_totals_.begin(), result_totals_.end(), 0.0);
  }

  const void* output(int number) const override { return outputs_.at(static_cast<std::size_t>(number)); }
  const Plan& plan() const override { return plan_; }

 private:
  void allocate() {
    Arenas& arenas = Arenas::of(variables_);
    arena_ = arenas.shared(plan_.arena_bytes);
    const std::size_t per_worker = plan_.local_bytes + plan_.scratch_bytes;
    worker_arena_ = arenas.of_threads(per_worker * static_cast<std::size_t>(plan_.workers));
    bases_.assign(static_cast<std::size_t>(plan_.workers),
                  std::vector<std::byte*>(kFirstInput + graph_.inputs().size(), nullptr));
    for (std::size_t w = 0; w < bases_.size(); ++w) {
      bases_[w][kLocal] = worker_arena_.get() + w * per_worker;
      scratch_.push_back(bases_[w][kLocal] + plan_.local_bytes);
    }
    for (std::size_t id = 0; id < graph_.values().size(); ++id) {
      const Place& place = graph_.values()[id].place;
      if (place.store == Store::results) {
        const std::size_t end = place.offset / sizeof(float) +
                                static_cast<std::size_t>(graph_.values()[id].spec.shape.elements());
        result_totals_.resize(std::max(result_totals_.size(), end));
      }
      if (place.store != Store::output) continue;
      if (outputs_.size() <= place.offset) outputs_.resize(place.offset + 1, nullptr);
      outputs_[place.offset] = arena_.get() + plan_.values[id].offset;
    }
  }

  std::int64_t row_bytes(ValueId id) const {
    const Value& v = graph_.value(id);
    return v.batched && plan_.batch > 0 ? static_cast<std::int64_t>(v.spec.size_bytes()) / plan_.batch : 0;
  }

  Operand absolute(const std::byte* at, std::int64_t row_stride) const {
    return {kAbsolute, reinterpret_cast<std::ptrdiff_t>(at), row_stride, 0};
  }

  void bind_inputs() {
    for (const ValueId id : graph_.inputs()) {
      Input input;
      input.row_bytes = row_bytes(id);
      input.direct = {kFirstInput + static_cast<int>(inputs_.size()), 0, input.row_bytes, 0};
      input.staging = graph_.value(id).batched ? planned_memory(id) : input.direct;
      inputs_.push_back(std::move(input));
    }
  }

  Operand planned_memory(ValueId id) const {
    const PlannedValue& at = plan_.values[static_cast<std::size_t>(id)];
    if (at.residence == Residence::local) return {kLocal, static_cast<std::ptrdiff_t>(at.offset), 0, 0};
    return absolute(arena_.get() + at.offset, row_bytes(id));
  }

  Operand operand(ValueId id) const {
    if (id == kNoValue) return {};
    const PlannedValue& planned = plan_.values[static_cast<std::size_t>(id)];
    const Place& place = graph_.value(planned.root).place;
    switch (place.store) {
      case Store::arena:
      case Store::output:
        return planned_memory(id);
      case Store::input:
        return inputs_[place.offset].staging;
      default:
        return absolute(variables_.base(place.store) + place.offset, row_bytes(id));
    }
  }

  static Step named(Step step, const PlannedNode& planned) {
    step.name = planned.layer.empty() ? planned.op : planned.layer;
    step.detail = cat(planned.op, ": ", planned.implementation);
    step.cost = planned.cost;
    return step;
  }

  Step gather_step(const PlannedNode& planned) const {
    Step step;
    step.gathers = ~planned.node;
    step.outputs.push_back(inputs_[static_cast<std::size_t>(step.gathers)].staging);
    return step;
  }

  Step node_step(const PlannedNode& planned) const {
    const Node& node = graph_.nodes()[static_cast<std::size_t>(planned.node)];
    Step step;
    step.tasks = planned.tasks;
    step.per_sample = rows_per_sample(graph_, node);
    step.rows = whole_rows(node);
    if (node.op->view) return step;
    const auto call = graph_.call(node);
    Implementation implementation =
        find_implementation(node.op->name)(call.call, {plan_.slice_rows * step.per_sample});
    if (implementation.name != planned.implementation) {
      throw Error(planned.op + ": planned '" + planned.implementation + "' but bound '" +
                  implementation.name + "'");
    }
    if (node.inputs.size() > kMaxOperands || node.outputs.size() > kMaxOperands) {
      throw UsageError(planned.op + ": more than " + std::to_string(kMaxOperands) + " operands");
    }
    step.run = std::move(implementation.run);
    step.accumulate = call.call.accumulates;
    for (const ValueId id : node.inputs) step.inputs.push_back(operand(id));
    for (const ValueId id : node.outputs) {
      const bool partial = step.tasks == 0 && plan_.slices > 1 && !graph_.value(id).batched;
      step.outputs.push_back(partial ? partial_of(id) : operand(id));
    }
    // Partial sums are overwritten; what they are added onto is the reduction's affair.
    if (step.tasks == 0 && plan_.slices > 1) {
      for (std::size_t k = 0; k < node.outputs.size(); ++k) {
        if (!graph_.value(node.outputs[k]).batched) step.accumulate &= ~(1u << k);
      }
    }
    return step;
  }

  // All rows of the batch; for a node that has nothing to do with the batch, the first extent of what it
  // walks over.
  std::int64_t whole_rows(const Node& node) const {
    const bool batched = std::any_of(node.inputs.begin(), node.inputs.end(),
                                     [&](ValueId id) { return id != kNoValue && graph_.value(id).batched; });
    if (batched) return plan_.batch * rows_per_sample(graph_, node);
    if (node.outputs.empty()) return plan_.batch;
    const bool sums = node.op->outputs[0] == Rows::sum;
    const Shape& walked = graph_.spec(sums ? node.inputs[0] : node.outputs[0]).shape;
    return walked.rank() == 0 ? 1 : walked[0];
  }

  Operand partial_of(ValueId id) const {
    const PlannedValue& planned = plan_.values[static_cast<std::size_t>(id)];
    Operand partial = absolute(arena_.get() + planned.partial_offset, 0);
    partial.slice_stride = static_cast<std::ptrdiff_t>(planned.partial_bytes);
    return partial;
  }

  void collect_readers() {
    for (std::size_t s = 0; s < steps_.size(); ++s) {
      if (plan_.nodes[s].node < 0) continue;
      const Node& node = graph_.nodes()[static_cast<std::size_t>(plan_.nodes[s].node)];
      for (std::size_t k = 0; k < steps_[s].inputs.size(); ++k) {
        if (node.inputs[k] == kNoValue) continue;
        const Place& place = graph_.value(plan_.values[static_cast<std::size_t>(node.inputs[k])].root).place;
        if (place.store == Store::input) inputs_[place.offset].readers.push_back(&steps_[s].inputs[k]);
      }
    }
  }

  void bind_region(const Region& region) {
    BoundRegion bound;
    bound.sliced = region.sliced;
    bound.segment = region.segment;
    bound.first = static_cast<std::size_t>(region.first);
    bound.count = static_cast<std::size_t>(region.count);
    for (const ValueId id : region.reduce) {
      const Node& node = graph_.nodes()[static_cast<std::size_t>(graph_.value(id).producer)];
      const auto k = static_cast<std::size_t>(std::find(node.outputs.begin(), node.outputs.end(), id) -
                                              node.outputs.begin());
      if (graph_.spec(id).dtype != Dtype::f32)
        throw UsageError(node.op->name + ": only f32 can be summed over slices");
      const PlannedValue& planned = plan_.values[static_cast<std::size_t>(id)];
      bound.reductions.push_back({reinterpret_cast<float*>(operand(id).offset),
                                  arena_.get() + planned.partial_offset, planned.partial_bytes,
                                  graph_.spec(id).shape.elements(), node.accumulate[k] != kNoValue});
    }
    for (std::size_t s = 0; s < bound.count; ++s) bound.tasks += steps_[bound.first + s].tasks;
    for (const Reduction& r : bound.reductions) bound.tasks += chunks(r);
    bound.name = cat("region ", regions_.size(), region.sliced ? ", sliced" : ", side by side");
    regions_.push_back(std::move(bound));
  }

  static int chunks(const Reduction& r) {
    return static_cast<int>((r.elements + kReduceChunk - 1) / kReduceChunk);
  }

  void gather(const Input& input, const Slice& slice, std::byte* to) const {
    copy_rows(input.base, {input.index + slice.first, static_cast<std::size_t>(slice.rows)},
              static_cast<std::size_t>(input.row_bytes), to);
  }

  void run_step(const Step& step, Slice& slice, std::int64_t slice_index, int worker) const {
    const auto& bases = bases_[static_cast<std::size_t>(worker)];
    const auto resolve = [&](const Operand& o) -> void* {
      return reinterpret_cast<void*>(
          reinterpret_cast<std::ptrdiff_t>(bases[static_cast<std::size_t>(o.base)]) + o.offset +
          slice.first * o.row_stride + slice_index * o.slice_stride);
    };
    if (step.gathers >= 0) {
      const Input& input = inputs_[static_cast<std::size_t>(step.gathers)];
      if (input.staged) gather(input, slice, static_cast<std::byte*>(resolve(step.outputs[0])));
      return;
    }
    if (!step.run) return;
    void* inputs[kMaxOperands];
    void* outputs[kMaxOperands];
    for (std::size_t k = 0; k < step.inputs.size(); ++k) inputs[k] = resolve(step.inputs[k]);
    for (std::size_t k = 0; k < step.outputs.size(); ++k) outputs[k] = resolve(step.outputs[k]);
    slice.inputs = inputs;
    slice.outputs = outputs;
    slice.accumulate = step.accumulate;
    Slice seen = slice;
    if (step.tasks == 0) seen.first *= step.per_sample, seen.rows *= step.per_sample;
    step.run(seen);
  }

  // Whose memory a task uses. Any thread of the pool may take it; a plan with fewer workers than that has no
  // more tasks than workers, so each task has its own.
  int slot(int task, int worker) const { return plan_.workers < pool_.threads() ? task : worker; }

  void run_slice(const BoundRegion& region, const StepState& state, int index, int worker) const {
    Slice slice;
    slice.first = index * plan_.slice_rows;
    slice.rows = std::min(plan_.slice_rows, plan_.batch - slice.first);
    slice.scratch = scratch_[static_cast<std::size_t>(worker)];
    slice.step = &state;
    if (trace::to_file()) return run_traced(region, slice, index, worker);
    for (std::size_t s = 0; s < region.count; ++s) run_step(steps_[region.first + s], slice, index, worker);
  }

  // `share`: of the batch's rows.
  static trace::Label label(const Step& step, double share) {
    return {"layer", step.name, step.detail, step.cost.bytes * share, step.cost.flops * share};
  }

  void run_traced(const BoundRegion& region, Slice& slice, int index, int worker) const {
    const std::string name = cat("slice ", index);
    const trace::Range range({"slice", name});
    const double share =
        static_cast<double>(slice.rows) / static_cast<double>(std::max<std::int64_t>(plan_.batch, 1));
    for (std::size_t s = 0; s < region.count; ++s) {
      const Step& step = steps_[region.first + s];
      const trace::Range layer(label(step, share));
      run_step(step, slice, index, worker);
    }
  }

  void run_task(const BoundRegion& region, const StepState& state, int task, int worker) const {
    for (std::size_t s = 0; s < region.count; ++s) {
      const Step& step = steps_[region.first + s];
      if (task < step.tasks) {
        Slice all;
        all.rows = step.rows;
        all.task = task;
        all.scratch = scratch_[static_cast<std::size_t>(worker)];
        all.step = &state;
        const trace::Range range(label(step, 1.0 / step.tasks));
        run_step(step, all, 0, worker);
        return;
      }
      task -= step.tasks;
    }
    for (const Reduction& r : region.reductions) {
      if (task < chunks(r)) {
        const std::int64_t begin = task * kReduceChunk;
        add_partials(r, begin, std::min(begin + kReduceChunk, r.elements), plan_.slices);
        return;
      }
      task -= chunks(r);
    }
  }

  // The step's sums are floats; over many steps they are added in double.
  void collect_results() {
    const auto* results = reinterpret_cast<const float*>(variables_.base(Store::results));
    for (std::size_t i = 0; i < result_totals_.size(); ++i)
      result_totals_[i] += static_cast<double>(results[i]);
  }

  Graph graph_;
  Plan plan_;
  std::vector<double> result_totals_;  // as many as the graph places
  VariableStore& variables_;
  ThreadPool& pool_;
  std::shared_ptr<std::byte> arena_, worker_arena_;
  std::vector<std::vector<std::byte*>> bases_;  // per worker
  std::vector<std::byte*> scratch_;             // per worker
  std::vector<Input> inputs_;
  std::vector<const void*> outputs_;
  std::vector<Step> steps_;
  std::vector<BoundRegion> regions_;
};

class CpuBackend final : public Backend {
 public:
  bool slices_batch() const override { return true; }
  bool computes(std::string_view op) const override { return has_implementation(op); }

  Choice choose(const OpCall& call, std::int64_t slice_rows, const Policy&) const override {
    Implementation chosen = find_implementation(call.op)(call, {slice_rows});
    return {std::move(chosen.name), std::move(chosen.why), chosen.scratch, chosen.tasks, 0, {}};
  }

  std::unique_ptr<Executable> bind(Planned planned, VariableStore& variables,
                                   ThreadPool& pool) const override {
    return std::make_unique<Executor>(std::move(planned), variables, pool);
  }
};

}  // namespace

std::unique_ptr<Backend> make_backend() {
  return std::make_unique<CpuBackend>();
}

}  // namespace gpunn::cpu
