// Work on a stream recorded as a CUDA graph.
#pragma once

#include <functional>

#include "src/cuda/device.hpp"

namespace gpunn::cuda {

// Records what `queue_work` queues on the stream, and on those that it forks. Thread-local: what other
// threads do with the device meanwhile does not spoil it.
StepGraph record(cudaStream_t stream, const std::function<void()>& queue_work);

}  // namespace gpunn::cuda
