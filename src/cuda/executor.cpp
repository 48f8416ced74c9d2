#include "src/cuda/executor.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "kernels/check.hpp"
#include "kernels/optimizers.hpp"
#include "kernels/step_state.hpp"
#include "src/cuda/bound_nodes.hpp"
#include "src/cuda/inputs.hpp"
#include "src/cuda/ranges.hpp"
#include "src/cuda/step_graph.hpp"
#include "src/cuda/step_group.hpp"

namespace gpunn::cuda {
namespace {

constexpr std::size_t kAlignment = 256;

struct StepName {
  char text[64];
  StepName(std::int64_t first, int count) {
    if (count == 1) {
      std::snprintf(text, sizeof text, "step %lld", static_cast<long long>(first));
    } else {
      std::snprintf(text, sizeof text, "steps %lld to %lld", static_cast<long long>(first),
                    static_cast<long long>(first + count - 1));
    }
  }
};

bool is_variable(Store store) {
  return store == Store::parameters || store == Store::gradients || store == Store::state ||
         store == Store::slot0 || store == Store::slot1;
}

// Whether a run changes variables: training does, and so do layers that keep a state.
bool writes_variables(const Graph& graph) {
  const auto in_variable = [&](ValueId id) {
    return id != kNoValue && is_variable(graph.value(id).place.store);
  };
  return std::any_of(graph.nodes().begin(), graph.nodes().end(), [&](const Node& node) {
    return node.op->mutates != 0 || std::any_of(node.outputs.begin(), node.outputs.end(), in_variable);
  });
}

// Floats of (sum, weight) pairs that the graph leaves in Store::results.
std::size_t count_results(const Graph& graph) {
  std::size_t count = 0;
  for (const Value& value : graph.values()) {
    if (value.place.store != Store::results) continue;
    count = std::max(
        count, value.place.offset / sizeof(float) + static_cast<std::size_t>(value.spec.shape.elements()));
  }
  return count;
}

class Executor final : public Executable {
 public:
  Executor(std::shared_ptr<Device> device, Target target, Planned planned, VariableStore& variables,
           const ExecutorOptions& options)
      : device_(std::move(device)),
        target_(std::move(target)),
        graph_(std::move(planned.graph)),
        plan_(std::move(planned.plan)),
        variables_(variables),
        lane_(lane_on(device_, variables)),
        capture_(options.capture),
        writes_(writes_variables(graph_)),
        result_count_(count_results(graph_)),
        ring_(result_count_),
        inputs_(*device_, graph_, plan_.batch, Ring::kSlots),
        arena_(device_->memory().allocate(plan_.arena_bytes, "the arena of a step")),
        scratch_(device_->memory().allocate(plan_.scratch_bytes, "the workspace of a step")),
        state_(device_->memory().allocate(std::max(sizeof(kernels::StepState), kAlignment),
                                          "the state of a step")),
        nodes_(graph_, plan_, target_, *lane_,
               {[this](ValueId id) { return memory_of(id); }, scratch_.data(), state_.data()},
               options.branches) {
    check(cudaMemsetAsync(state_.data(), 0, sizeof(kernels::StepState), stream()));
    bind_outputs();
  }

  ~Executor() override { static_cast<void>(cudaStreamSynchronize(stream())); }

  void set_source(int number, const Source& source) override {
    if (inputs_.knows(number, source)) return;
    const OnDevice here(device_->ordinal());
    flush();
    inputs_.set_source(number, source, stream());
    group_.forget_graphs();  // they read the data set where it was
  }

  void set_input(int number, const void* base, const std::int64_t* row_index) override {
    inputs_.set(number, base, row_index);
  }

  void run(Segment segment, const cpu::StepState& step) override {
    const OnDevice here(device_->ordinal());
    flush();
    if (segment == Segment::gradients) prepare();
    DeviceVariables::Turn turn(lane_->variables(), stream(), writes_);
    if (segment == Segment::gradients) begin_one(step);
    nodes_.queue(segment);
    if (segment == Segment::gradients) ring_.end(1, results(), stream());
    turn.finish();
    if (segment == Segment::update) variables_.after_device_update();
  }

  // The whole step: queued the first time (which loads the kernels), captured the second, then one launch.
  // One that is recorded is queued layer by layer.
  void run(const cpu::StepState& step) override {
    const OnDevice here(device_->ordinal());
    const bool watched = trace::recording(), one_launch = capture_ && is_warm_ && !watched;
    if (group_.size() > 1 && one_launch && inputs_.resident()) {
      if (group_.hold(step, ring_, inputs_)) flush();
      return;
    }
    flush();
    const StepName name(step.step, 1);
    const Range range({"launch", name.text});
    prepare();
    DeviceVariables::Turn turn(lane_->variables(), stream(), writes_);
    begin_one(step);
    if (!one_launch) {
      nodes_.queue_all(watched);
    } else {
      if (step_graph_ == nullptr) step_graph_ = record(stream(), [&] { nodes_.queue_all(); });
      check(cudaGraphLaunch(step_graph_.get(), stream()));
    }
    is_warm_ = is_warm_ || !watched;  // one that is watched leaves the side stream alone
    ring_.end(1, results(), stream());
    finish(turn);
  }

  void set_group(int steps) override {
    if (steps == group_.size() || !capture_) return;
    const OnDevice here(device_->ordinal());
    flush();
    group_.resize(steps, *device_, ring_, inputs_);
    // Loads the kernel, which only groups use, before it is captured; each step's state is set anew.
    kernels::finish_step(gpu_of(nodes_.main_launch()), {},
                         reinterpret_cast<kernels::StepState*>(state_.data()));
  }

  void flush() override {
    if (group_.held() == 0) return;
    const OnDevice here(device_->ordinal());
    const int steps = group_.take();
    const StepName name(group_.first().step, steps);
    const Range range({"launch", name.text});
    prepare();
    DeviceVariables::Turn turn(lane_->variables(), stream(), writes_);
    ring_.begin(group_.first(), state_.data(), stream());
    inputs_.send(ring_.slot(), steps, stream());
    check(cudaGraphLaunch(group_.graph(steps, nodes_, inputs_, result_count_, state_.data(), results()),
                          stream()));
    ring_.end(steps, group_.results(), stream());
    finish(turn);
  }

  const void* output(int number) const override {
    if (group_.held() > 0) throw UsageError("outputs are those of a step that was started: flush() first");
    const OnDevice here(device_->ordinal());
    const Output& output = outputs_.at(static_cast<std::size_t>(number));
    check(cudaMemcpyAsync(output.host.data(), output.device, output.bytes, cudaMemcpyDeviceToHost, stream()));
    check(cudaStreamSynchronize(stream()));
    return output.host.data();
  }

  void add_results(std::span<double> totals) override {
    const OnDevice here(device_->ordinal());
    flush();
    ring_.add_results(totals);
  }

  const Plan& plan() const override { return plan_; }

 private:
  struct Output {
    Pinned host;
    const std::byte* device = nullptr;
    std::size_t bytes = 0;
  };

  void bind_outputs() {
    for (std::size_t id = 0; id < graph_.values().size(); ++id) {
      const Value& value = graph_.values()[id];
      if (value.place.store != Store::output) continue;
      if (outputs_.size() <= value.place.offset) outputs_.resize(value.place.offset + 1);
      outputs_[value.place.offset] = {Pinned(value.spec.size_bytes()),
                                      arena_.data() + plan_.values[id].offset, value.spec.size_bytes()};
    }
  }

  std::byte* memory_of(ValueId id) const {
    const PlannedValue& planned = plan_.values[static_cast<std::size_t>(id)];
    const Place& place = graph_.value(planned.root).place;
    switch (place.store) {
      case Store::arena:
      case Store::output:
        return arena_.data() + planned.offset;
      case Store::input:
        return inputs_.device_memory(static_cast<int>(place.offset));
      default:
        return lane_->variables().base(place.store) + place.offset;
    }
  }

  cudaStream_t stream() const { return lane_->stream(); }
  const std::byte* results() const { return lane_->variables().base(Store::results); }

  // What may wait, before it is this stream's turn.
  void prepare() {
    ring_.make_room();
    variables_.before_device_run();
  }

  // Brings what changes from step to step to the device.
  void begin_one(const cpu::StepState& step) {
    ring_.begin(step, state_.data(), stream());
    inputs_.queue(ring_.slot(), nodes_.main_launch());
  }

  void finish(DeviceVariables::Turn& turn) {
    turn.finish();
    if (writes_) variables_.after_device_update();
  }

  std::shared_ptr<Device> device_;
  const Target target_;
  Graph graph_;
  Plan plan_;
  VariableStore& variables_;
  std::shared_ptr<Lane> lane_;
  const bool capture_, writes_;
  const std::size_t result_count_;
  Ring ring_;
  Inputs inputs_;
  Buffer arena_, scratch_, state_;
  BoundNodes nodes_;
  std::vector<Output> outputs_;
  bool is_warm_ = false;  // everything that a capture meets has run once
  StepGraph step_graph_;
  StepGroup group_;
};

}  // namespace

std::unique_ptr<Executable> bind(std::shared_ptr<Device> device, Target target, Planned planned,
                                 VariableStore& variables, const ExecutorOptions& options) {
  const OnDevice here(device->ordinal());
  return std::make_unique<Executor>(std::move(device), std::move(target), std::move(planned), variables,
                                    options);
}

}  // namespace gpunn::cuda
