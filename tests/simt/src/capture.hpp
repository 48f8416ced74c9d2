#pragma once

#include "runtime.hpp"

struct CUgraph_st {
  std::vector<std::unique_ptr<CUgraphNode_st>> nodes;  // in an order that respects the edges
  // Conditional handles made for this graph, with the value each launch begins with.
  struct Condition {
    unsigned value = 0;
    unsigned start = 0;
    bool reset = false;
  };
  std::vector<std::unique_ptr<Condition>> conditions;
  std::vector<std::unique_ptr<CUgraph_st>> bodies;  // of conditional nodes

  CUgraphNode_st* add(simt::WorkRef work, std::vector<CUgraphNode_st*> after);
};

namespace simt {

struct Capture {
  CUgraph_st* graph = nullptr;
  bool owns_graph = true;  // false for cudaStreamBeginCaptureToGraph
  CUstream_st* origin = nullptr;
  std::set<CUstream_st*> streams;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool broken = false;
  std::size_t first_node = 0;
  unsigned long long id = 0;
};

cudaError_t capture_work(CUstream_st& stream, WorkRef work);
cudaError_t legacy_stream_in_capture();  // breaks captures that such a call breaks
cudaError_t unsafe_call_in_capture();    // likewise, for calls like cudaMalloc
cudaError_t capture_wait(CUstream_st& stream, CUevent_st& event);
bool& in_host_function();  // of the calling thread
CUstream_st* per_thread_stream();

}  // namespace simt
