#include "src/cuda/executor.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <typeinfo>
#include <utility>

#include "kernels/check.hpp"
#include "kernels/optimizers.hpp"
#include "kernels/step_state.hpp"
#include "src/core/text.hpp"
#include "src/cuda/inputs.hpp"
#include "src/cuda/ranges.hpp"
#include "src/cuda/variables.hpp"

namespace gpunn::cuda {
namespace {

// Groups of steps that may be under way before the host waits for the oldest: their inputs and results lie in
// pinned memory.
constexpr int kRing = 8;
constexpr std::size_t kAlignment = 256;

struct Step {
  std::function<void(const Launch&)> run;
  std::vector<void*> inputs, outputs;
  Buffer constants;
  std::size_t scratch_offset = 0;
  unsigned accumulate = 0;
  Segment segment = Segment::gradients;
  bool backward = false;
  int region = 0;
  std::string name, detail;  // of its range in a trace
  Cost cost;
};

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

class Executor final : public Executable {
 public:
  Executor(std::shared_ptr<Device> device, Target target, Planned planned, VariableStore& variables,
           const ExecutorOptions& options)
      : device_(std::move(device)),
        target_(std::move(target)),
        graph_(std::move(planned.graph)),
        plan_(std::move(planned.plan)),
        variables_(variables),
        mirror_(mirror_on(device_, variables)),
        capture_(options.capture),
        branches_(options.branches),
        side_(make_stream()),
        fork_(make_event()),
        join_(make_event()),
        inputs_(*device_, graph_, plan_.batch, kRing) {
    arena_ = device_->memory().allocate(plan_.arena_bytes, "the arena of a step");
    scratch_ = device_->memory().allocate(plan_.scratch_bytes, "the workspace of a step");
    state_ =
        device_->memory().allocate(std::max(sizeof(kernels::StepState), kAlignment), "the state of a step");
    check(cudaMemsetAsync(state_.data(), 0, sizeof(kernels::StepState), mirror_->stream()));
    bind_outputs();
    for (PlannedNode& step : plan_.nodes) bind_step(step);
    for (int slot = 0; slot < kRing; ++slot) {
      states_.emplace_back(sizeof(kernels::StepState));
      results_.emplace_back(result_count_ * sizeof(float));
      free_.push_back(make_event());
    }
    steps_in_.resize(kRing);
  }

  ~Executor() override { static_cast<void>(cudaStreamSynchronize(mirror_->stream())); }

  void set_source(int number, const Source& source) override {
    if (inputs_.knows(number, source)) return;
    const OnDevice here(device_->ordinal());
    flush();
    inputs_.set_source(number, source, mirror_->stream());
    group_graphs_.clear();  // they read the data set where it was
  }

  void set_input(int number, const void* base, const std::int64_t* row_index) override {
    inputs_.set(number, base, row_index);
  }

  void run(Segment segment, const cpu::StepState& step) override {
    const OnDevice here(device_->ordinal());
    flush();
    if (segment == Segment::gradients) {
      begin(step);
      inputs_.queue(slot(next_), launch_on(mirror_->stream()));
    }
    queue(segment);
    if (segment == Segment::gradients) end(1, mirror_->base(Store::results));
    if (segment == Segment::update) variables_.after_device_update();
  }

  // The whole step: queued the first time (which loads the kernels), captured the second, then one launch.
  // One that is recorded is queued layer by layer.
  void run(const cpu::StepState& step) override {
    const OnDevice here(device_->ordinal());
    const bool watched = trace::recording(), one_launch = capture_ && runs_ > 0 && !watched;
    if (group_ > 1 && one_launch && inputs_.resident()) return hold(step);
    flush();
    const StepName name(step.step, 1);
    const Range range({"launch", name.text});
    begin(step);
    inputs_.queue(slot(next_), launch_on(mirror_->stream()));
    if (!one_launch) {
      watched_ = watched;
      queue_all();
      watched_ = false;
    } else {
      if (step_graph_ == nullptr) step_graph_ = record([&] { queue_all(); });
      check(cudaGraphLaunch(step_graph_.get(), mirror_->stream()));
    }
    ++runs_;
    end(1, mirror_->base(Store::results));
    variables_.after_device_update();
  }

  void set_group(int steps) override {
    if (steps == group_ || !capture_) return;
    const OnDevice here(device_->ordinal());
    flush();
    while (oldest_ < next_) collect_oldest();
    const std::size_t bytes = result_count_ * sizeof(float) * static_cast<std::size_t>(steps);
    std::vector<Pinned> results;
    for (int slot = 0; slot < kRing; ++slot) results.emplace_back(bytes);
    Buffer lines = device_->memory().allocate(std::max(bytes, kAlignment), "results of a group of steps");
    inputs_.set_group(steps);
    // Nothing below throws: a group that finds no memory leaves the one before.
    results_ = std::move(results);
    lines_ = std::move(lines);
    group_graphs_.clear();
    group_ = steps;
  }

  // Steps held back, as one launch; a group that was cut short has a graph of its own length.
  void flush() override {
    if (held_ == 0) return;
    const OnDevice here(device_->ordinal());
    const int steps = std::exchange(held_, 0);
    const StepName name(held_state_.step, steps);
    const Range range({"launch", name.text});
    begin(held_state_);
    inputs_.send(slot(next_), steps, mirror_->stream());
    StepGraph& graph = group_graphs_[steps];
    if (graph == nullptr) graph = record([&] { queue_group(steps); });
    check(cudaGraphLaunch(graph.get(), mirror_->stream()));
    end(steps, lines_.data());
    variables_.after_device_update();
  }

  const void* output(int number) const override {
    if (held_ > 0) throw UsageError("outputs are those of a step that was started: flush() first");
    const OnDevice here(device_->ordinal());
    const Output& output = outputs_.at(static_cast<std::size_t>(number));
    check(cudaMemcpyAsync(output.host.data(), output.device, output.bytes, cudaMemcpyDeviceToHost,
                          mirror_->stream()));
    check(cudaStreamSynchronize(mirror_->stream()));
    return output.host.data();
  }

  void add_results(std::span<double> totals) override {
    const OnDevice here(device_->ordinal());
    flush();
    while (oldest_ < next_) collect_oldest();
    for (std::size_t i = 0; i < std::min(totals.size(), totals_.size()); ++i) totals[i] += totals_[i];
    std::fill(totals_.begin(), totals_.end(), 0.0);
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
      if (value.place.store == Store::results) {
        const auto end =
            value.place.offset / sizeof(float) + static_cast<std::size_t>(value.spec.shape.elements());
        result_count_ = std::max(result_count_, end);
      }
      if (value.place.store != Store::output) continue;
      if (outputs_.size() <= value.place.offset) outputs_.resize(value.place.offset + 1);
      outputs_[value.place.offset] = {Pinned(value.spec.size_bytes()),
                                      arena_.data() + plan_.values[id].offset, value.spec.size_bytes()};
    }
    totals_.resize(result_count_);
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
        return mirror_->base(place.store) + place.offset;
    }
  }

  void bind_step(PlannedNode& planned) {
    const Node& node = graph_.nodes()[static_cast<std::size_t>(planned.node)];
    if (node.op->view) return;
    const auto call = graph_.call(node);
    const Implement implement = find_implementation(node.op->name);
    Implementation implementation = implement(call.call, target_);
    if (implementation.name != planned.implementation) {
      throw Error(planned.op + ": planned '" + planned.implementation + "' but bound '" +
                  implementation.name + "'");
    }
    Step step;
    step.run = std::move(implementation.run);
    if (const std::string& bytes = implementation.constants; !bytes.empty()) {
      step.constants = device_->memory().allocate(bytes.size(), "constants of " + planned.op);
      check(cudaMemcpyAsync(step.constants.data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice,
                            mirror_->stream()));
      check(cudaStreamSynchronize(mirror_->stream()));
    }
    step.accumulate = call.call.accumulates;
    step.segment = planned.segment;
    step.backward = planned.backward;
    step.region = planned.region;
    step.name = planned.layer.empty() ? planned.op : planned.layer;
    step.cost = planned.cost;
    step.scratch_offset = planned.scratch_offset;
    for (const ValueId id : node.inputs) step.inputs.push_back(id == kNoValue ? nullptr : memory_of(id));
    for (const ValueId id : node.outputs) step.outputs.push_back(memory_of(id));
    if (implementation.prepare) {
      const auto bound = implementation.prepare(launch_of(step, launch_on(mirror_->stream())));
      if (!bound.name.empty()) planned.implementation = bound.name;
      if (!bound.why.empty()) planned.why = bound.why;
    }
    step.detail = cat(planned.op, ": ", planned.implementation);
    steps_.push_back(std::move(step));
  }

  int slot(std::int64_t run) const { return static_cast<int>(run % kRing); }

  void hold(const cpu::StepState& step) {
    if (held_ == 0) {
      make_room();
      held_state_ = step;
    }
    inputs_.stage(slot(next_), held_);
    if (++held_ == group_) flush();
  }

  void make_room() {
    if (next_ - oldest_ == kRing) collect_oldest();
  }

  // Brings what changes from step to step to the device.
  void begin(const cpu::StepState& step) {
    make_room();
    variables_.before_device_run();
    const int at = slot(next_);
    // Only what the host decides: the rest of the state belongs to the device.
    constexpr std::size_t kHostPart = offsetof(kernels::StepState, skip);
    kernels::StepState state;
    state.seed = step.seed;
    state.step = step.step;
    state.learning_rate = step.learning_rate;
    state.gradient_scale = step.gradient_scale;
    std::memcpy(states_[static_cast<std::size_t>(at)].data(), &state, kHostPart);
    check(cudaMemcpyAsync(state_.data(), states_[static_cast<std::size_t>(at)].data(), kHostPart,
                          cudaMemcpyHostToDevice, mirror_->stream()));
  }

  // `results`: a line of them for each of the steps that were queued.
  void end(int steps, const std::byte* results) {
    const auto at = static_cast<std::size_t>(slot(next_));
    steps_in_[at] = steps;
    if (result_count_ > 0) {
      check(cudaMemcpyAsync(results_[at].data(), results,
                            result_count_ * sizeof(float) * static_cast<std::size_t>(steps),
                            cudaMemcpyDeviceToHost, mirror_->stream()));
    }
    check(cudaEventRecord(free_[at].get(), mirror_->stream()));
    ++next_;
  }

  void collect_oldest() {
    const auto at = static_cast<std::size_t>(slot(oldest_));
    check(cudaEventSynchronize(free_[at].get()));
    const auto* results = reinterpret_cast<const float*>(results_[at].data());
    for (int step = 0; step < steps_in_[at]; ++step) {
      for (std::size_t i = 0; i < result_count_; ++i) totals_[i] += static_cast<double>(*results++);
    }
    ++oldest_;
  }

  Launch launch_on(cudaStream_t stream) const {
    Launch launch;
    launch.stream = stream;
    launch.target = &target_;
    launch.scratch = scratch_.data();
    launch.step = state_.data();
    launch.libraries = &mirror_->libraries();
    return launch;
  }

  static Launch launch_of(const Step& step, Launch launch) {
    launch.inputs = step.inputs.data();
    launch.outputs = step.outputs.data();
    launch.accumulate = step.accumulate;
    launch.constants = step.constants.data();
    launch.scratch = static_cast<std::byte*>(launch.scratch) + step.scratch_offset;
    return launch;
  }

  void queue(const Step& step, cudaStream_t stream) const {
    const Range range({"layer", step.name, step.detail, step.cost.bytes, step.cost.flops});
    try {
      step.run(launch_of(step, launch_on(stream)));
    } catch (const DeviceError& error) {
      if (typeid(error) != typeid(DeviceError)) throw;
      throw DeviceError(cat(step.name, ", ", step.detail, ": ", error.what()));
    }
    // The host's range is the layer's time when the host waits for it.
    if (watched_ && trace::to_file()) check(cudaStreamSynchronize(stream));
  }

  static const char* phase_of(const Step& step) {
    if (step.segment != Segment::gradients) return step.segment == Segment::reduce ? "reduce" : "update";
    return step.backward ? "backward" : "forward";
  }

  // The steps of a region side by side: the first on the main stream, the others on the one beside it.
  void queue(Segment segment) const {
    cudaStream_t main = mirror_->stream();
    const char* phase = nullptr;
    std::optional<Range> range;
    for (std::size_t i = 0; i < steps_.size();) {
      std::size_t end = i + 1;
      while (end < steps_.size() && steps_[end].region == steps_[i].region) ++end;
      const bool fork = branches_ && !watched_ && end - i > 1;
      if (steps_[i].segment == segment) {
        if (const char* next = phase_of(steps_[i]); next != phase) {
          range.reset();
          range.emplace(trace::Label{"phase", next});
          phase = next;
        }
        if (fork) {
          check(cudaEventRecord(fork_.get(), main));
          check(cudaStreamWaitEvent(side_.get(), fork_.get(), 0));
        }
        for (std::size_t k = i; k < end; ++k) queue(steps_[k], fork && k > i ? side_.get() : main);
        if (fork) {
          check(cudaEventRecord(join_.get(), side_.get()));
          check(cudaStreamWaitEvent(main, join_.get(), 0));
        }
      }
      i = end;
    }
  }

  void queue_all() const {
    for (const Segment segment : {Segment::gradients, Segment::reduce, Segment::update}) queue(segment);
  }

  // What the host does between steps, done on the device: rows by index, the step's number, a line of
  // results.
  void queue_group(int steps) const {
    const Launch launch = launch_on(mirror_->stream());
    for (int step = 0; step < steps; ++step) {
      inputs_.gather(step, launch);
      queue_all();
      kernels::ResultRing line;
      if (result_count_ > 0) {
        line.count = static_cast<std::int64_t>(result_count_);
        line.capacity = 1;
        line.ring = reinterpret_cast<float*>(lines_.data()) + line.count * step;
        line.results = reinterpret_cast<const float*>(mirror_->base(Store::results));
      }
      kernels::finish_step(gpu_of(launch), line, reinterpret_cast<kernels::StepState*>(state_.data()));
    }
  }

  StepGraph record(const std::function<void()>& queue_work) const {
    // Thread-local: what other threads do with the device meanwhile must not spoil the capture.
    check(cudaStreamBeginCapture(mirror_->stream(), cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
      queue_work();
    } catch (...) {
      static_cast<void>(cudaStreamEndCapture(mirror_->stream(), &graph));
      if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
      throw;
    }
    check(cudaStreamEndCapture(mirror_->stream(), &graph));
    cudaGraphExec_t executable = nullptr;
    const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
    static_cast<void>(cudaGraphDestroy(graph));
    check(status);
    return StepGraph(executable);
  }

  std::shared_ptr<Device> device_;
  const Target target_;
  Graph graph_;
  Plan plan_;
  VariableStore& variables_;
  std::shared_ptr<DeviceVariables> mirror_;
  const bool capture_, branches_;
  Stream side_;
  Event fork_, join_;
  Inputs inputs_;
  Buffer arena_, scratch_, state_, lines_;
  std::vector<Output> outputs_;
  std::vector<Step> steps_;
  std::vector<Pinned> states_, results_;  // per slot of the ring
  std::vector<int> steps_in_;             // likewise: how many lines of results
  std::vector<Event> free_;               // a slot may be used again when its event has passed
  std::vector<double> totals_;
  std::size_t result_count_ = 0;
  std::int64_t runs_ = 0, next_ = 0, oldest_ = 0;
  bool watched_ = false;      // the step being queued is recorded
  int group_ = 1, held_ = 0;  // steps held back; their rows are noted in slot(next_)
  cpu::StepState held_state_;
  StepGraph step_graph_;
  std::map<int, StepGraph> group_graphs_;  // by number of steps
};

}  // namespace

std::unique_ptr<Executable> bind(std::shared_ptr<Device> device, Target target, Planned planned,
                                 VariableStore& variables, const ExecutorOptions& options) {
  const OnDevice here(device->ordinal());
  return std::make_unique<Executor>(std::move(device), std::move(target), std::move(planned), variables,
                                    options);
}

}  // namespace gpunn::cuda
