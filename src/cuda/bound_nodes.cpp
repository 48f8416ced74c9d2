#include "src/cuda/bound_nodes.hpp"

#include <optional>
#include <typeinfo>

#include "kernels/check.hpp"
#include "src/core/log.hpp"
#include "src/core/text.hpp"
#include "src/cuda/ranges.hpp"

namespace gpunn::cuda {
namespace {

const char* phase_of(Segment segment, bool backward) {
  if (segment != Segment::gradients) return segment == Segment::reduce ? "reduce" : "update";
  return backward ? "backward" : "forward";
}

void report_fallback(const std::string& fallback, const OpCall& call, const PlannedNode& planned,
                     const Policy& policy) {
  if (fallback.empty()) return;
  if (policy.strict) refuse_fallback(call, planned.layer, fallback);
  log_once(fallback, LogLevel::warning, cat(planned.layer, ", ", planned.op, ": ", fallback));
}

}  // namespace

BoundNodes::BoundNodes(const Graph& graph, Plan& plan, const Target& target, Lane& lane, NodeMemory memory,
                       bool branches)
    : target_(target),
      lane_(lane),
      memory_(std::move(memory)),
      branches_(branches),
      fork_(make_event()),
      join_(make_event()) {
  for (PlannedNode& planned : plan.nodes) bind(graph, plan.policy, planned);
}

void BoundNodes::bind(const Graph& graph, const Policy& policy, PlannedNode& planned) {
  const Node& node = graph.nodes()[static_cast<std::size_t>(planned.node)];
  if (node.op->view) return;
  const auto call = graph.call(node);
  const Implement implement = find_implementation(node.op->name);
  Implementation implementation = implement(call.call, target_);
  if (implementation.name != planned.implementation) {
    throw Error(planned.op + ": planned '" + planned.implementation + "' but bound '" + implementation.name +
                "'");
  }
  report_fallback(implementation.fallback, call.call, planned, policy);
  Step step;
  step.run = std::move(implementation.run);
  if (const std::string& bytes = implementation.constants; !bytes.empty()) {
    step.constants = lane_.device().memory().allocate(bytes.size(), "constants of " + planned.op);
    check(cudaMemcpyAsync(step.constants.data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice,
                          lane_.stream()));
    check(cudaStreamSynchronize(lane_.stream()));
  }
  step.accumulate = call.call.accumulates;
  step.segment = planned.segment;
  step.backward = planned.backward;
  step.region = planned.region;
  step.aside = branches_ && !steps_.empty() && steps_.back().region == planned.region;
  step.name = planned.layer.empty() ? planned.op : planned.layer;
  step.cost = planned.cost;
  step.scratch_offset = planned.scratch_offset;
  for (const ValueId id : node.inputs) step.inputs.push_back(id == kNoValue ? nullptr : memory_.of_value(id));
  for (const ValueId id : node.outputs) step.outputs.push_back(memory_.of_value(id));
  if (implementation.prepare) {
    const auto bound = implementation.prepare(launch_of(step, lane_.stream()));
    report_fallback(bound.fallback, call.call, planned, policy);
    if (!bound.name.empty()) planned.implementation = bound.name;
    if (!bound.why.empty()) planned.why = bound.why;
    if (bound.launches > 0) planned.launches = bound.launches;
  }
  step.detail = cat(planned.op, ": ", planned.implementation);
  steps_.push_back(std::move(step));
}

Launch BoundNodes::launch_on(cudaStream_t stream, Libraries& libraries) const {
  Launch launch;
  launch.stream = stream;
  launch.target = &target_;
  launch.scratch = memory_.scratch;
  launch.step = memory_.state;
  launch.libraries = &libraries;
  return launch;
}

Launch BoundNodes::launch_of(const Step& step, cudaStream_t stream) const {
  Launch launch = launch_on(stream, libraries_of(step));
  launch.inputs = step.inputs.data();
  launch.input_count = static_cast<int>(step.inputs.size());
  launch.outputs = step.outputs.data();
  launch.accumulate = step.accumulate;
  launch.constants = step.constants.data();
  launch.scratch = static_cast<std::byte*>(launch.scratch) + step.scratch_offset;
  return launch;
}

void BoundNodes::queue(const Step& step, cudaStream_t stream, bool watched) const {
  const Range range({"layer", step.name, step.detail, step.cost.bytes, step.cost.flops});
  try {
    step.run(launch_of(step, stream));
  } catch (const DeviceError& error) {
    if (typeid(error) != typeid(DeviceError)) throw;
    throw DeviceError(cat(step.name, ", ", step.detail, ": ", error.what()));
  }
  // The host's range is the layer's time when the host waits for it.
  if (watched && trace::to_file()) check(cudaStreamSynchronize(stream));
}

// The steps of a region side by side: the first on the main stream, the others on the one beside it.
void BoundNodes::queue(Segment segment, bool watched) const {
  cudaStream_t main = lane_.stream(), side = lane_.side_stream();
  const char* phase = nullptr;
  std::optional<Range> range;
  for (std::size_t i = 0; i < steps_.size();) {
    std::size_t end = i + 1;
    while (end < steps_.size() && steps_[end].region == steps_[i].region) ++end;
    const bool fork = branches_ && !watched && end - i > 1;
    if (steps_[i].segment == segment) {
      if (const char* next = phase_of(segment, steps_[i].backward); next != phase) {
        range.reset();
        range.emplace(trace::Label{"phase", next});
        phase = next;
      }
      if (fork) {
        check(cudaEventRecord(fork_.get(), main));
        check(cudaStreamWaitEvent(side, fork_.get(), 0));
      }
      for (std::size_t k = i; k < end; ++k) queue(steps_[k], fork && k > i ? side : main, watched);
      if (fork) {
        check(cudaEventRecord(join_.get(), side));
        check(cudaStreamWaitEvent(main, join_.get(), 0));
      }
    }
    i = end;
  }
}

void BoundNodes::queue_all(bool watched) const {
  for (const Segment segment : {Segment::gradients, Segment::reduce, Segment::update})
    queue(segment, watched);
}

}  // namespace gpunn::cuda
