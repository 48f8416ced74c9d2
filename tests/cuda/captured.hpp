// What both libraries must notice: memory that a captured call uses and that is gone when the graph runs
// again.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "kernels/check.hpp"
#include "simt/simt.hpp"

namespace gpunn::cuda {

// Captures `call(memory)`, runs the graph, frees the memory, and runs the graph again.
template <class Call>
void expect_memory_must_outlive_the_graph(cudaStream_t stream, std::size_t bytes, Call call) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes));
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  call(memory);
  cudaGraph_t graph{};
  check(cudaStreamEndCapture(stream, &graph));
  cudaGraphExec_t exec{};
  check(cudaGraphInstantiate(&exec, graph, 0));
  check(cudaGraphLaunch(exec, stream));
  check(cudaStreamSynchronize(stream));
  check(cudaFree(memory));
  check(cudaGraphLaunch(exec, stream));
  static_cast<void>(cudaStreamSynchronize(stream));
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_NE(simt::last_report().find("freed before"), std::string::npos) << simt::last_report();
  static_cast<void>(cudaGraphExecDestroy(exec)), static_cast<void>(cudaGraphDestroy(graph));
}

// Captures calls on two branches: `call` on the stream, then on one beside it.
template <class Call>
void capture_branches(cudaStream_t stream, cudaStream_t beside, cudaEvent_t fork, cudaEvent_t join,
                      Call call) {
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  check(cudaEventRecord(fork, stream));
  check(cudaStreamWaitEvent(beside, fork, 0));
  call(stream), call(beside);
  check(cudaEventRecord(join, beside));
  check(cudaStreamWaitEvent(stream, join, 0));
  cudaGraph_t graph{};
  check(cudaStreamEndCapture(stream, &graph));
  check(cudaGraphDestroy(graph));
}

}  // namespace gpunn::cuda
