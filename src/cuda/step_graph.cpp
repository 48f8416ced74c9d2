#include "src/cuda/step_graph.hpp"

#include "kernels/check.hpp"

namespace gpunn::cuda {

namespace {

// Leaves no capture open, whatever happened: an open one forbids this thread to allocate.
void abandon(cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  static_cast<void>(cudaStreamEndCapture(stream, &graph));
  if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
}

}  // namespace

StepGraph record(cudaStream_t stream, const std::function<void()>& queue_work) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    queue_work();
    check(cudaStreamEndCapture(stream, &graph));
  } catch (...) {
    abandon(stream);
    throw;
  }
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  static_cast<void>(cudaGraphDestroy(graph));
  check(status);
  return StepGraph(executable);
}

}  // namespace gpunn::cuda
