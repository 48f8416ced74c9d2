#include "src/cuda/ring.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/check.hpp"
#include "kernels/step_state.hpp"

namespace gpunn::cuda {

Ring::Ring(std::size_t results) : steps_in_(kSlots), totals_(results) {
  for (int slot = 0; slot < kSlots; ++slot) {
    states_.emplace_back(sizeof(kernels::StepState));
    results_.emplace_back(line_bytes());
    free_.push_back(make_event());
  }
}

void Ring::make_room() {
  if (next_ - oldest_ == kSlots) collect_oldest();
}

void Ring::begin(const cpu::StepState& step, std::byte* device_state, cudaStream_t stream) {
  constexpr std::size_t kHostPart = offsetof(kernels::StepState, calls);
  kernels::StepState state;
  state.seed = step.seed;
  state.step = step.step;
  state.learning_rate = step.learning_rate;
  state.gradient_scale = step.gradient_scale;
  std::byte* pinned = states_[at(next_)].data();
  std::memcpy(pinned, &state, kHostPart);
  check(cudaMemcpyAsync(device_state, pinned, kHostPart, cudaMemcpyHostToDevice, stream));
}

void Ring::end(int steps, const std::byte* results, cudaStream_t stream) {
  steps_in_[at(next_)] = steps;
  if (!totals_.empty()) {
    check(cudaMemcpyAsync(results_[at(next_)].data(), results, line_bytes() * static_cast<std::size_t>(steps),
                          cudaMemcpyDeviceToHost, stream));
  }
  check(cudaEventRecord(free_[at(next_)].get(), stream));
  ++next_;
}

void Ring::set_steps(int steps) {
  while (oldest_ < next_) collect_oldest();
  std::vector<Pinned> results;
  for (int slot = 0; slot < kSlots; ++slot)
    results.emplace_back(line_bytes() * static_cast<std::size_t>(steps));
  results_ = std::move(results);
}

void Ring::collect_oldest() {
  check(cudaEventSynchronize(free_[at(oldest_)].get()));
  const auto* result = reinterpret_cast<const float*>(results_[at(oldest_)].data());
  for (int step = 0; step < steps_in_[at(oldest_)]; ++step) {
    for (double& total : totals_) total += static_cast<double>(*result++);
  }
  ++oldest_;
}

void Ring::add_results(std::span<double> totals) {
  while (oldest_ < next_) collect_oldest();
  for (std::size_t i = 0; i < std::min(totals.size(), totals_.size()); ++i) totals[i] += totals_[i];
  std::fill(totals_.begin(), totals_.end(), 0.0);
}

}  // namespace gpunn::cuda
