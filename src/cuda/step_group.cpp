#include "src/cuda/step_group.hpp"

#include <algorithm>

#include "kernels/optimizers.hpp"
#include "src/cuda/step_graph.hpp"

namespace gpunn::cuda {
namespace {

constexpr std::size_t kAlignment = 256;

}  // namespace

void StepGroup::resize(int steps, Device& device, Ring& ring, Inputs& inputs) {
  Buffer lines =
      device.memory().allocate(std::max(ring.line_bytes() * static_cast<std::size_t>(steps), kAlignment),
                               "results of a group of steps");
  ring.set_steps(std::max(steps, size_));  // what follows may throw, and then the group is what it was
  inputs.set_group(steps);
  // Nothing below throws: a group that finds no memory leaves the one before.
  lines_ = std::move(lines);
  graphs_.clear();
  size_ = steps;
}

bool StepGroup::hold(const cpu::StepState& step, Ring& ring, Inputs& inputs) {
  if (held_ == 0) {
    ring.make_room();
    first_ = step;
  }
  inputs.stage(ring.slot(), held_);
  return ++held_ == size_;
}

// What the host does between steps, done on the device: rows by index, the step's number, a line of results.
cudaGraphExec_t StepGroup::graph(int steps, const BoundNodes& nodes, const Inputs& inputs,
                                 std::size_t result_count, std::byte* state, const std::byte* results) {
  StepGraph& graph = graphs_[steps];
  if (graph != nullptr) return graph.get();
  const Launch launch = nodes.main_launch();
  graph = record(static_cast<cudaStream_t>(launch.stream), [&] {
    for (int step = 0; step < steps; ++step) {
      inputs.gather(step, launch);
      nodes.queue_all();
      kernels::ResultRing line;
      if (result_count > 0) {
        line.count = static_cast<std::int64_t>(result_count);
        line.capacity = 1;
        line.ring = reinterpret_cast<float*>(lines_.data()) + line.count * step;
        line.results = reinterpret_cast<const float*>(results);
      }
      kernels::finish_step(gpu_of(launch), line, reinterpret_cast<kernels::StepState*>(state));
    }
  });
  return graph.get();
}

}  // namespace gpunn::cuda
