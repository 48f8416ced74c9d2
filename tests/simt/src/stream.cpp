// Streams, events, host functions.
#include "call_log.hpp"
#include "capture.hpp"
#include "runtime.hpp"
#include "sanitizer.hpp"

namespace simt {
namespace {

CUstream_st* new_stream(unsigned flags, int priority, int device) {
  auto* stream = new CUstream_st;
  stream->device = device;
  stream->flags = flags;
  stream->priority = priority;
  stream->blocking = (flags & cudaStreamNonBlocking) == 0;
  stream->identity = new_identity();
  runtime().streams.insert(stream);
  return stream;
}

CUevent_st* find(cudaEvent_t event) {
  return runtime().events.count(event) != 0 ? event : nullptr;
}

WorkRef nothing() {
  return std::make_shared<FunctionWork>(cudaGraphNodeTypeEmpty, nullptr);
}

cudaError_t sync_in_capture(CUstream_st& stream) {
  stream.capture->broken = true;
  return cudaErrorStreamCaptureUnsupported;
}

cudaError_t break_capture(CUevent_st& event) {
  if (event.capture != nullptr) event.capture->broken = true;
  return cudaErrorCapturedEvent;
}

cudaError_t create(cudaStream_t* stream, unsigned flags, int priority) {
  if (stream == nullptr || (flags & ~static_cast<unsigned>(cudaStreamNonBlocking)) != 0)
    return cudaErrorInvalidValue;
  *stream = new_stream(flags, priority, current_device());
  return cudaSuccess;
}

}  // namespace

CUstream_st* make_legacy_stream(int device) {
  CUstream_st* stream = new_stream(cudaStreamDefault, 0, device);
  runtime().streams.erase(stream);  // it is not one of the streams that it waits for
  return stream;
}

CUstream_st* per_thread_stream() {
  thread_local std::map<int, CUstream_st*> streams;
  CUstream_st*& stream = streams[current_device()];
  if (stream == nullptr || runtime().streams.count(stream) == 0)
    stream = new_stream(cudaStreamDefault, 0, current_device());
  return stream;
}

}  // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return call("cudaStreamCreate", [&] { return create(stream, cudaStreamDefault, 0); });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call("cudaStreamCreateWithFlags", [&] { return create(stream, flags, 0); });
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return call("cudaStreamCreateWithPriority", [&] { return create(stream, flags, priority); });
}

// Work in flight goes on; only the handle is gone.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call(
      "cudaStreamDestroy",
      [&] {
        if (runtime().streams.count(stream) == 0) return cudaErrorInvalidResourceHandle;
        if (stream->capture != nullptr) {
          stream->capture->broken = true;
          stream->capture->streams.erase(stream);
        }
        // Its identity may still be needed by queued work.
        if (!stream->last || stream->last->done) drop_identity(stream->identity);
        runtime().streams.erase(stream);
        delete stream;
        return cudaSuccess;
      },
      Dead::run_anyway);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call("cudaStreamSynchronize", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (s->capture != nullptr) return sync_in_capture(*s);
    wait_for(s->last);
    return runtime().current().sticky;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return call("cudaStreamQuery", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (s->capture != nullptr) return sync_in_capture(*s);
    // Polling must end some day, even if nothing else forces the work.
    if (s->last && !s->last->done && runtime().random.below(4) == 0) wait_for(s->last);
    if (s->last && !s->last->done) return cudaErrorNotReady;
    if (s->last) acquire(&s->last->finished);
    return runtime().current().sticky;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call("cudaStreamWaitEvent", [&] {
    CUstream_st* s = resolve(stream);
    CUevent_st* e = find(event);
    if (s == nullptr || e == nullptr) return cudaErrorInvalidResourceHandle;
    if (e->capture != nullptr || s->capture != nullptr) return capture_wait(*s, *e);
    if (e->was_captured) return cudaErrorCapturedEvent;
    return e->at ? submit(s, nothing(), {e->at}) : cudaSuccess;  // never recorded: nothing to wait for
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
  return call("cudaStreamGetFlags", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    return *flags = s->flags, cudaSuccess;
  });
}
cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  return call("cudaStreamGetPriority", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    return *priority = s->priority, cudaSuccess;
  });
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return call("cudaDeviceGetStreamPriorityRange", [&] { return *least = 0, *greatest = -5, cudaSuccess; });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t f, void* user) {
  return call("cudaLaunchHostFunc", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (f == nullptr) return cudaErrorInvalidValue;
    return submit(s, std::make_shared<HostWork>(f, user));
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call("cudaEventCreateWithFlags", [&] {
    if (event == nullptr) return cudaErrorInvalidValue;
    *event = new CUevent_st;
    (*event)->device = current_device();
    (*event)->timing = (flags & cudaEventDisableTiming) == 0;
    runtime().events.insert(*event);
    return cudaSuccess;
  });
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call(
      "cudaEventDestroy",
      [&] {
        if (find(event) == nullptr) return cudaErrorInvalidResourceHandle;
        runtime().events.erase(event);
        delete event;
        return cudaSuccess;
      },
      Dead::run_anyway);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call("cudaEventRecord", [&] {
    CUstream_st* s = resolve(stream);
    CUevent_st* e = find(event);
    if (s == nullptr || e == nullptr) return cudaErrorInvalidResourceHandle;
    if (s->device != e->device) return cudaErrorInvalidResourceHandle;
    e->capture = s->capture;
    e->captured = s->captured;
    e->was_captured = s->capture != nullptr;
    e->at.reset();
    if (s->capture != nullptr) return cudaSuccess;
    const cudaError_t error = submit(s, nothing());
    if (error == cudaSuccess) e->at = s->last;
    return error;
  });
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
  return cudaEventRecord(event, stream);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call("cudaEventSynchronize", [&] {
    CUevent_st* e = find(event);
    if (e == nullptr) return cudaErrorInvalidResourceHandle;
    if (e->was_captured) return break_capture(*e);
    wait_for(e->at);
    return runtime().current().sticky;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call("cudaEventQuery", [&] {
    CUevent_st* e = find(event);
    if (e == nullptr) return cudaErrorInvalidResourceHandle;
    if (e->was_captured) return break_capture(*e);
    if (e->at && !e->at->done && runtime().random.below(4) == 0) wait_for(e->at);
    if (e->at && !e->at->done) return cudaErrorNotReady;
    if (e->at) acquire(&e->at->finished);
    return runtime().current().sticky;
  });
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  return call("cudaEventElapsedTime", [&] {
    const CUevent_st *a = find(start), *b = find(end);
    if (a == nullptr || b == nullptr || !a->timing || !b->timing || !a->at || !b->at)
      return cudaErrorInvalidResourceHandle;
    if (!a->at->done || !b->at->done) return cudaErrorNotReady;
    // There is no time on this device, and a number would be taken for one.
    return *ms = 0.0f, cudaSuccess;
  });
}

}  // extern "C"
