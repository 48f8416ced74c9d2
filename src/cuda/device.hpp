// One CUDA device as the backend uses it: its properties, its stream, its memory.
#pragma once

#include <memory>
#include <string>

#include "gpunn/cuda.hpp"
#include "kernels/gpu.hpp"
#include "src/cuda/data_sets.hpp"
#include "src/cuda/memory.hpp"
#include "src/memory/block_cache.hpp"

namespace gpunn::cuda {

class Device {
 public:
  explicit Device(int ordinal);  // throws DeviceError when there is no such device

  int ordinal() const { return ordinal_; }
  const Target& target() const { return target_; }
  BlockCache& memory() { return memory_; }
  DataSets& data_sets() { return data_sets_; }

 private:
  int ordinal_;
  Target target_;
  BlockCache memory_;
  DataSets data_sets_;
};

// A device for as long as the program runs. Throws DeviceError when there is no such device.
std::shared_ptr<Device> open_device(int ordinal);
// Waits for all that was queued on devices that were opened. One that no memory was asked of is left alone:
// waiting would make a context there.
void wait_for_devices() noexcept;

// Destroys without looking at the status: at exit the driver may already be gone.
struct DestroyStream {
  void operator()(cudaStream_t stream) const noexcept { static_cast<void>(cudaStreamDestroy(stream)); }
};
struct DestroyEvent {
  void operator()(cudaEvent_t event) const noexcept { static_cast<void>(cudaEventDestroy(event)); }
};
struct DestroyGraph {
  void operator()(cudaGraphExec_t graph) const noexcept { static_cast<void>(cudaGraphExecDestroy(graph)); }
};
using Stream = std::unique_ptr<std::remove_pointer_t<cudaStream_t>, DestroyStream>;
using Event = std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, DestroyEvent>;
using StepGraph = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, DestroyGraph>;

Stream make_stream();  // non-blocking: never ordered with the legacy stream
Event make_event();    // for ordering, not timing

// What a launcher in kernels/ is given.
inline kernels::Gpu gpu_of(const Launch& launch) {
  return {launch.stream, launch.target->multiprocessors, launch.target->shared_per_block};
}
inline kernels::Accumulate accumulate_of(const Launch& launch, int k) {
  return launch.add(k) ? kernels::Accumulate::add : kernels::Accumulate::overwrite;
}
inline kernels::Accumulate accumulate_of(const OpCall& call, int k) {
  return (call.accumulates >> k & 1u) != 0 ? kernels::Accumulate::add : kernels::Accumulate::overwrite;
}

}  // namespace gpunn::cuda
