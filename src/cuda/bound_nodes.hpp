// The nodes of a plan with all of it resolved: implementation, pointers, streams, handles. Nodes that the
// plan puts side by side go on two streams, joined again behind each pair.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/cuda/lane.hpp"
#include "src/ir/backend.hpp"

namespace gpunn::cuda {

// Where a step finds what is not its own.
struct NodeMemory {
  std::function<std::byte*(ValueId)> of_value;
  std::byte* scratch = nullptr;  // Plan::scratch_bytes
  std::byte* state = nullptr;    // kernels::StepState
};

class BoundNodes {
 public:
  // Writes into the plan what was chosen now. Throws OutOfMemory; Error when an implementation is not the one
  // that was planned; DeviceError where Policy::strict meets a fallback. `target` and `lane` must outlive it.
  BoundNodes(const Graph& graph, Plan& plan, const Target& target, Lane& lane, NodeMemory memory,
             bool branches);

  // `watched`: one node after another, and a file's ranges last as long as the device needs.
  void queue(Segment segment, bool watched = false) const;
  void queue_all(bool watched = false) const;

  // What the kernels around the nodes are launched with.
  Launch main_launch() const { return launch_on(lane_.stream(), lane_.libraries()); }

 private:
  struct Step {
    std::function<void(const Launch&)> run;
    std::vector<void*> inputs, outputs;
    Buffer constants;
    std::size_t scratch_offset = 0;
    unsigned accumulate = 0;
    Segment segment = Segment::gradients;
    bool backward = false;
    int region = 0;
    bool aside = false;        // beside the step before it
    std::string name, detail;  // of its range in a trace
    Cost cost;
  };

  void bind(const Graph& graph, const Policy& policy, PlannedNode& planned);
  Libraries& libraries_of(const Step& step) const {
    return step.aside ? lane_.side_libraries() : lane_.libraries();
  }
  Launch launch_on(cudaStream_t stream, Libraries& libraries) const;
  Launch launch_of(const Step& step, cudaStream_t stream) const;
  void queue(const Step& step, cudaStream_t stream, bool watched) const;

  const Target& target_;
  Lane& lane_;
  NodeMemory memory_;
  const bool branches_;
  Event fork_, join_;
  std::vector<Step> steps_;
};

}  // namespace gpunn::cuda
