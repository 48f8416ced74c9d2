// Steps on resident data that are held back and started together: one CUDA graph for all of them.
#pragma once

#include <map>

#include "src/cuda/bound_nodes.hpp"
#include "src/cuda/inputs.hpp"
#include "src/cuda/ring.hpp"

namespace gpunn::cuda {

class StepGroup {
 public:
  int size() const { return size_; }
  int held() const { return held_; }
  const cpu::StepState& first() const { return first_; }  // of those held
  const std::byte* results() const { return lines_.data(); }

  // Groups of so many steps. REQUIRES: none is held. Throws OutOfMemory, and then nothing has changed.
  void resize(int steps, Device& device, Ring& ring, Inputs& inputs);
  // Notes a step; true when the group is full.
  bool hold(const cpu::StepState& step, Ring& ring, Inputs& inputs);
  // Those held are to be started now: how many there are.
  int take() { return std::exchange(held_, 0); }
  // The graph of so many steps; a group that was cut short has one of its own length.
  cudaGraphExec_t graph(int steps, const BoundNodes& nodes, const Inputs& inputs, std::size_t result_count,
                        std::byte* state, const std::byte* results);
  void forget_graphs() { graphs_.clear(); }

 private:
  int size_ = 1, held_ = 0;
  cpu::StepState first_;
  Buffer lines_;                     // of results, one for each step
  std::map<int, StepGraph> graphs_;  // by number of steps
};

}  // namespace gpunn::cuda
