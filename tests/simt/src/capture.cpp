// Stream capture: calls become nodes, events carry edges from stream to stream, and CUDA's rules are kept
// with CUDA's codes.
#include "capture.hpp"

#include <algorithm>

#include "call_log.hpp"

CUgraphNode_st* CUgraph_st::add(simt::WorkRef work, std::vector<CUgraphNode_st*> after) {
  nodes.push_back(std::make_unique<CUgraphNode_st>());
  CUgraphNode_st* node = nodes.back().get();
  node->work = std::move(work);
  node->after = std::move(after);
  node->graph = this;
  return node;
}

namespace simt {
namespace {

std::vector<Capture*>& captures() {
  static std::vector<Capture*> active;
  return active;
}

// May this thread's unsafe call go on while `c` is under way?
bool forbids_unsafe_calls(const Capture& c) {
  if (c.mode == cudaStreamCaptureModeRelaxed) return false;
  return c.mode == cudaStreamCaptureModeGlobal || c.thread == std::this_thread::get_id();
}

void join(CUstream_st& stream, Capture& capture, std::vector<CUgraphNode_st*> after) {
  stream.capture = &capture;
  stream.captured = std::move(after);
  capture.streams.insert(&stream);
}

void mark_ancestors(CUgraphNode_st* node, std::set<CUgraphNode_st*>& seen) {
  if (!seen.insert(node).second) return;
  for (CUgraphNode_st* before : node->after) mark_ancestors(before, seen);
}

// Every captured node must lead to the origin stream's end.
bool is_joined(const Capture& c) {
  std::set<CUgraphNode_st*> seen;
  for (CUgraphNode_st* last : c.origin->captured) mark_ancestors(last, seen);
  for (std::size_t i = c.first_node; i < c.graph->nodes.size(); ++i) {
    if (seen.count(c.graph->nodes[i].get()) == 0) return false;
  }
  return true;
}

void finish(Capture* c) {
  for (CUstream_st* stream : c->streams) {
    stream->capture = nullptr;
    stream->captured.clear();
  }
  for (CUevent_st* event : runtime().events) {
    if (event->capture == c) event->capture = nullptr;
  }
  std::erase(captures(), c);
}

cudaError_t begin(cudaStream_t stream, cudaStreamCaptureMode mode, CUgraph_st* graph,
                  std::vector<CUgraphNode_st*> after) {
  CUstream_st* s = resolve(stream);
  if (s == nullptr) return cudaErrorInvalidResourceHandle;
  if (s == runtime().current().legacy) return cudaErrorStreamCaptureUnsupported;
  if (s->capture != nullptr) return cudaErrorIllegalState;
  static unsigned long long next_id = 0;
  auto* c = new Capture;
  c->graph = graph;
  if (graph == nullptr) {
    c->graph = new CUgraph_st;
  } else {
    c->owns_graph = false;
  }
  c->origin = s;
  c->mode = mode;
  c->thread = std::this_thread::get_id();
  c->first_node = c->graph->nodes.size();
  c->id = ++next_id;
  captures().push_back(c);
  join(*s, *c, std::move(after));
  return cudaSuccess;
}

}  // namespace

cudaError_t capture_work(CUstream_st& stream, WorkRef work) {
  Capture& c = *stream.capture;
  if (c.broken) return cudaErrorStreamCaptureInvalidated;
  stream.captured = {c.graph->add(std::move(work), stream.captured)};
  return cudaSuccess;
}

cudaError_t legacy_stream_in_capture() {
  cudaError_t error = cudaSuccess;
  for (Capture* c : captures()) {
    for (const CUstream_st* stream : c->streams) {
      if (!stream->blocking || stream->device != current_device()) continue;
      c->broken = true;
      error = cudaErrorStreamCaptureImplicit;
    }
  }
  // Synchronous calls on the legacy stream are unsafe as well.
  return error != cudaSuccess ? error : cudaSuccess;
}

cudaError_t unsafe_call_in_capture() {
  cudaError_t error = cudaSuccess;
  for (Capture* c : captures()) {
    if (!forbids_unsafe_calls(*c)) continue;
    c->broken = true;
    error = cudaErrorStreamCaptureUnsupported;
  }
  return error;
}

cudaError_t capture_wait(CUstream_st& stream, CUevent_st& event) {
  if (event.capture == nullptr) {
    // What happened before the capture cannot be an edge of the graph.
    if (!event.at && !event.was_captured) return cudaSuccess;
    stream.capture->broken = true;
    return cudaErrorStreamCaptureIsolation;
  }
  if (stream.capture == nullptr) {  // the capture spreads
    if (&stream == runtime().devices[static_cast<std::size_t>(stream.device)].legacy) {
      event.capture->broken = true;
      return cudaErrorStreamCaptureImplicit;
    }
    join(stream, *event.capture, {});
  } else if (stream.capture != event.capture) {
    stream.capture->broken = event.capture->broken = true;
    return cudaErrorStreamCaptureMerge;
  }
  for (CUgraphNode_st* node : event.captured) {
    if (std::find(stream.captured.begin(), stream.captured.end(), node) == stream.captured.end()) {
      stream.captured.push_back(node);
    }
  }
  return cudaSuccess;
}

}  // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return call("cudaStreamBeginCapture", [&] { return begin(stream, mode, nullptr, {}); });
}

cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph,
                                          const cudaGraphNode_t* dependencies, const cudaGraphEdgeData*,
                                          std::size_t count, cudaStreamCaptureMode mode) {
  return call("cudaStreamBeginCaptureToGraph", [&] {
    if (graph == nullptr) return cudaErrorInvalidValue;
    std::vector<CUgraphNode_st*> after;
    if (count != 0) after.assign(dependencies, dependencies + count);
    return begin(stream, mode, graph, std::move(after));
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return call("cudaStreamEndCapture", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (graph != nullptr) *graph = nullptr;
    Capture* c = s->capture;
    if (c == nullptr) return cudaErrorIllegalState;
    if (c->origin != s) return c->broken = true, cudaErrorStreamCaptureUnmatched;
    if (c->mode != cudaStreamCaptureModeRelaxed && c->thread != std::this_thread::get_id()) {
      return cudaErrorStreamCaptureWrongThread;
    }
    const cudaError_t error = c->broken       ? cudaErrorStreamCaptureInvalidated
                              : is_joined(*c) ? cudaSuccess
                                              : cudaErrorStreamCaptureUnjoined;
    finish(c);
    if (error == cudaSuccess) {
      if (graph != nullptr) *graph = c->graph;
    } else if (c->owns_graph) {
      delete c->graph;
    }
    delete c;
    return error;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return call("cudaStreamIsCapturing", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    *status = s->capture == nullptr ? cudaStreamCaptureStatusNone
              : s->capture->broken  ? cudaStreamCaptureStatusInvalidated
                                    : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** dependencies, const cudaGraphEdgeData** edges,
                                     std::size_t* count) {
  return call("cudaStreamGetCaptureInfo", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (edges != nullptr) *edges = nullptr;
    const Capture* c = s->capture;
    *status = c == nullptr ? cudaStreamCaptureStatusNone
              : c->broken  ? cudaStreamCaptureStatusInvalidated
                           : cudaStreamCaptureStatusActive;
    if (c == nullptr) return cudaSuccess;
    if (id != nullptr) *id = c->id;
    if (graph != nullptr) *graph = c->graph;
    if (dependencies != nullptr) *dependencies = s->captured.data();
    if (count != nullptr) *count = s->captured.size();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t* dependencies,
                                                const cudaGraphEdgeData*, std::size_t count, unsigned flags) {
  return call("cudaStreamUpdateCaptureDependencies", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (s->capture == nullptr) return cudaErrorIllegalState;
    if ((flags & cudaStreamSetCaptureDependencies) != 0) s->captured.clear();
    if (count != 0) s->captured.insert(s->captured.end(), dependencies, dependencies + count);
    return cudaSuccess;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return call("cudaThreadExchangeStreamCaptureMode", [&] {
    thread_local cudaStreamCaptureMode current = cudaStreamCaptureModeGlobal;
    std::swap(current, *mode);
    return cudaSuccess;
  });
}

}  // extern "C"
