// Launches that are under way: what the host sends with each and gets back from it, in pinned memory, one
// slot for each. The host only waits when all slots are taken, or when it wants the sums.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gpunn/cpu.hpp"
#include "src/cuda/device.hpp"

namespace gpunn::cuda {

class Ring {
 public:
  static constexpr int kSlots = 8;

  // `results` floats come back from each step.
  explicit Ring(std::size_t results);

  int slot() const { return static_cast<int>(next_ % kSlots); }  // of the launch that is prepared next
  void make_room();                                              // waits until that slot is free
  // Queues what of the step's state the host decides; the rest of `device_state` belongs to the device.
  void begin(const cpu::StepState& step, std::byte* device_state, cudaStream_t stream);
  // Queues the results of the steps that were queued: a line for each at `results`.
  void end(int steps, const std::byte* results, cudaStream_t stream);

  // Room for results of so many steps in a slot. Waits for all that is under way. Throws OutOfMemory, and
  // then nothing has changed.
  void set_steps(int steps);
  std::size_t line_bytes() const { return totals_.size() * sizeof(float); }
  // Adds all results since the last call, in the order of the steps. Waits for them.
  void add_results(std::span<double> totals);

 private:
  std::size_t at(std::int64_t launch) const { return static_cast<std::size_t>(launch % kSlots); }
  void collect_oldest();

  std::vector<Pinned> states_, results_;  // by slot
  std::vector<int> steps_in_;             // likewise: lines of results
  std::vector<Event> free_;               // likewise: has passed when the slot may be used again
  std::vector<double> totals_;
  std::int64_t next_ = 0, oldest_ = 0;
};

}  // namespace gpunn::cuda
