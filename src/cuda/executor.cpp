#include "src/cuda/executor.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/check.hpp"
#include "kernels/step_state.hpp"
#include "src/cuda/inputs.hpp"
#include "src/cuda/variables.hpp"

namespace gpunn::cuda {
namespace {

// Steps that may be under way before the host waits for the oldest: their inputs and results lie in pinned
// memory.
constexpr int kRing = 8;
constexpr std::size_t kAlignment = 256;

struct Step {
  std::function<void(const Launch&)> run;
  std::vector<void*> inputs, outputs;
  Buffer constants;
  unsigned accumulate = 0;
  Segment segment = Segment::gradients;
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
  }

  ~Executor() override { static_cast<void>(cudaStreamSynchronize(mirror_->stream())); }

  void set_source(int number, const void* base, std::int64_t rows) override {
    const OnDevice here(device_->ordinal());
    inputs_.set_source(number, base, rows, mirror_->stream());
  }

  void set_input(int number, const void* base, const std::int64_t* row_index) override {
    inputs_.set(number, base, row_index);
  }

  void run(Segment segment, const cpu::StepState& step) override {
    const OnDevice here(device_->ordinal());
    if (segment == Segment::gradients) {
      begin(step);
    }
    queue(segment);
    if (segment == Segment::gradients) end();
    if (segment == Segment::update) variables_.after_device_update();
  }

  // The whole step: queued the first time (which loads the kernels), captured the second, then one launch.
  void run(const cpu::StepState& step) override {
    const OnDevice here(device_->ordinal());
    begin(step);
    if (!capture_ || runs_ == 0) {
      queue_all();
    } else {
      if (step_graph_ == nullptr) record();
      check(cudaGraphLaunch(step_graph_.get(), mirror_->stream()));
    }
    ++runs_;
    end();
    variables_.after_device_update();
  }

  const void* output(int number) const override {
    const OnDevice here(device_->ordinal());
    const Output& output = outputs_.at(static_cast<std::size_t>(number));
    check(cudaMemcpyAsync(output.host.data(), output.device, output.bytes, cudaMemcpyDeviceToHost,
                          mirror_->stream()));
    check(cudaStreamSynchronize(mirror_->stream()));
    return output.host.data();
  }

  void add_results(std::span<double> totals) override {
    const OnDevice here(device_->ordinal());
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
    for (const ValueId id : node.inputs) step.inputs.push_back(id == kNoValue ? nullptr : memory_of(id));
    for (const ValueId id : node.outputs) step.outputs.push_back(memory_of(id));
    if (implementation.prepare) {
      const auto bound = implementation.prepare(launch_of(step, launch_on(mirror_->stream())));
      if (!bound.name.empty()) planned.implementation = bound.name;
      if (!bound.why.empty()) planned.why = bound.why;
    }
    steps_.push_back(std::move(step));
  }

  int slot(std::int64_t run) const { return static_cast<int>(run % kRing); }

  // Brings the batch and what changes from step to step to the device.
  void begin(const cpu::StepState& step) {
    if (next_ - oldest_ == kRing) collect_oldest();
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
    inputs_.queue(at, launch_on(mirror_->stream()));
  }

  void end() {
    const auto at = static_cast<std::size_t>(slot(next_));
    if (result_count_ > 0) {
      check(cudaMemcpyAsync(results_[at].data(), mirror_->base(Store::results), result_count_ * sizeof(float),
                            cudaMemcpyDeviceToHost, mirror_->stream()));
    }
    check(cudaEventRecord(free_[at].get(), mirror_->stream()));
    ++next_;
  }

  void collect_oldest() {
    const auto at = static_cast<std::size_t>(slot(oldest_));
    check(cudaEventSynchronize(free_[at].get()));
    const auto* results = reinterpret_cast<const float*>(results_[at].data());
    for (std::size_t i = 0; i < result_count_; ++i) totals_[i] += static_cast<double>(results[i]);
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
    return launch;
  }

  void queue(Segment segment) {
    const Launch launch = launch_on(mirror_->stream());
    for (const Step& step : steps_) {
      if (step.segment == segment) step.run(launch_of(step, launch));
    }
  }

  void queue_all() {
    for (const Segment segment : {Segment::gradients, Segment::reduce, Segment::update}) queue(segment);
  }

  void record() {
    // Thread-local: what other threads do with the device meanwhile must not spoil the capture.
    check(cudaStreamBeginCapture(mirror_->stream(), cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
      queue_all();
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
    step_graph_.reset(executable);
  }

  std::shared_ptr<Device> device_;
  const Target target_;
  Graph graph_;
  Plan plan_;
  VariableStore& variables_;
  std::shared_ptr<DeviceVariables> mirror_;
  const bool capture_;
  Inputs inputs_;
  Buffer arena_, scratch_, state_;
  std::vector<Output> outputs_;
  std::vector<Step> steps_;
  std::vector<Pinned> states_, results_;  // per slot of the ring
  std::vector<Event> free_;               // a slot may be used again when its event has passed
  std::vector<double> totals_;
  std::size_t result_count_ = 0;
  std::int64_t runs_ = 0, next_ = 0, oldest_ = 0;
  StepGraph step_graph_;
};

}  // namespace

std::unique_ptr<Executable> bind(std::shared_ptr<Device> device, Target target, Planned planned,
                                 VariableStore& variables, const ExecutorOptions& options) {
  const OnDevice here(device->ordinal());
  return std::make_unique<Executor>(std::move(device), std::move(target), std::move(planned), variables,
                                    options);
}

}  // namespace gpunn::cuda
