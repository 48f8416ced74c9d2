// When queued work runs, and what it is ordered after.
#include <algorithm>
#include <cstdlib>

#include "capture.hpp"
#include "executor.hpp"
#include "report.hpp"
#include "runtime.hpp"
#include "sanitizer.hpp"

namespace simt {
namespace {

constexpr unsigned kNoSync = 1;
int device_of_running = 0;

void close_pending_ranges() {
  if (!under_asan() || !options().protect) return;
  for (const OpRef& op : runtime().pending) {
    for (const HostRange& r : op->work->host_ranges()) close_memory(r.begin, r.bytes);
  }
}

void open_ranges(const Op& op) {
  if (!under_asan() || !options().protect) return;
  for (const HostRange& r : op.work->host_ranges()) open_memory(r.begin, r.bytes);
}

// The caller has taken `op` out of the pending list. The lock is open while host functions run, so others may
// queue and run work meanwhile.
void execute(const OpRef& op) {
  op->running = true;
  void* host = nullptr;
  if (under_tsan()) {
    host = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(op->identity, kNoSync);
  }
  acquire(&op->submitted);
  for (const OpRef& before : op->after) acquire(&before->finished);
  open_ranges(*op);
  if (runtime().devices.empty() ||
      runtime().devices[static_cast<std::size_t>(op->device)].sticky == cudaSuccess) {
    device_of_running = op->device;
    const bool host_code = op->work->type() == cudaGraphNodeTypeHost;
    if (!host_code) open_device_memory(op->device);
    op->work->run();
    if (!host_code) close_device_memory(op->device);
  }
  op->work.reset();  // here, where what it owned was used: freed elsewhere, that would be a race
  release(&op->finished);
  if (under_tsan()) __tsan_switch_to_fiber(host, kNoSync);
  op->running = false;
  op->done = true;
  op->after.clear();
  close_pending_ranges();
}

bool is_ready(const Op& op) {
  return std::all_of(op.after.begin(), op.after.end(), [](const OpRef& a) { return a->done; });
}

void collect_needed(const OpRef& op, std::set<const Op*>& needed) {
  if (op->done || !needed.insert(op.get()).second) return;
  for (const OpRef& before : op->after) collect_needed(before, needed);
}

// Runs one ready operation out of those that `wanted` accepts; false if there is none.
template <class Wanted>
bool run_one(Wanted wanted) {
  auto& pending = runtime().pending;
  std::vector<std::size_t> ready;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    if (wanted(pending[i].get()) && is_ready(*pending[i])) ready.push_back(i);
  }
  if (ready.empty()) return false;
  const bool choose = options().streams == Streams::random;
  const std::size_t chosen = ready[choose ? runtime().random.below(ready.size()) : 0];
  const OpRef op = pending[chosen];
  pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(chosen));
  execute(op);
  return true;
}

// Another thread is running a host function that we depend on.
void wait_for_host_work() {
  const unsigned seen = runtime().finished_host_work.load();
  runtime().lock.unlock();
  runtime().finished_host_work.wait(seen);
  runtime().lock.lock();
}

void run_until(const OpRef& op) {
  std::set<const Op*> needed;
  const bool all = options().streams == Streams::random;  // anything may run meanwhile
  if (!all) collect_needed(op, needed);
  while (!op->done) {
    if (!run_one([&](const Op* candidate) { return all || needed.count(candidate) != 0; }))
      wait_for_host_work();
  }
}

}  // namespace

int running_device() {
  return device_of_running;
}

Runtime& runtime() {
  static Runtime* const instance =
      new Runtime;  // never destroyed: CUDA calls from static destructors must not crash
  return *instance;
}

void* new_identity() {
  return under_tsan() ? __tsan_create_fiber(0) : nullptr;
}
void drop_identity(void* identity) {
  if (identity != nullptr) __tsan_destroy_fiber(identity);
}

void HostWork::run() const {
  Runtime& rt = runtime();
  // CUDA calls are forbidden in host functions; without the lock such a call fails instead of hanging.
  in_host_function() = true;
  rt.lock.unlock();
  f_(user_);
  rt.lock.lock();
  in_host_function() = false;
  ++rt.finished_host_work;
  rt.finished_host_work.notify_all();
}

OpRef add_op(CUstream_st& stream, WorkRef work, std::vector<OpRef> after, void* identity) {
  auto op = std::make_shared<Op>();
  op->work = std::move(work);
  op->after = std::move(after);
  op->device = stream.device;
  op->identity = identity;
  release(&op->submitted);
  runtime().pending.push_back(op);
  return op;
}

cudaError_t submit(CUstream_st* stream, WorkRef work, const std::vector<OpRef>& extra) {
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  Runtime& rt = runtime();
  if (stream->capture != nullptr) return capture_work(*stream, std::move(work));

  CUstream_st* legacy = rt.devices[static_cast<std::size_t>(stream->device)].legacy;
  std::vector<OpRef> after = extra;
  if (stream->last) after.push_back(stream->last);
  if (stream == legacy) {
    if (const cudaError_t error = legacy_stream_in_capture(); error != cudaSuccess) return error;
    for (CUstream_st* other : rt.streams) {
      if (other->blocking && other->device == stream->device && other->last) after.push_back(other->last);
    }
  } else if (stream->blocking && legacy->last) {
    after.push_back(legacy->last);
  }
  std::sort(after.begin(), after.end());
  after.erase(std::unique(after.begin(), after.end()), after.end());
  stream->last = add_op(*stream, std::move(work), std::move(after), stream->identity);
  if (options().streams == Streams::eager) {
    run_until(OpRef(stream->last));
  } else {
    close_pending_ranges();
  }
  return cudaSuccess;
}

void wait_for(const OpRef& op) {
  if (!op) return;
  const OpRef kept = op;
  run_until(kept);
  acquire(&kept->finished);
}

void drain(int device) {
  const auto wanted = [&](const Op* op) { return device < 0 || op->device == device; };
  auto& rt = runtime();
  while (
      std::any_of(rt.pending.begin(), rt.pending.end(), [&](const OpRef& op) { return wanted(op.get()); })) {
    // What it waits for may belong to another device.
    if (!run_one(wanted) && !run_one([](const Op*) { return true; })) wait_for_host_work();
  }
  const auto order_before_caller = [&](const CUstream_st* stream) {
    if ((device < 0 || stream->device == device) && stream->last) wait_for(stream->last);
  };
  for (const CUstream_st* stream : rt.streams) order_before_caller(stream);
  for (const Device& d : rt.devices) order_before_caller(d.legacy);
}

void make_progress() {
  if (options().streams != Streams::random) return;
  while (runtime().random.below(3) == 0 && run_one([](const Op*) { return true; })) {
  }
}

void kill_device(int device, cudaError_t error) {
  cudaError_t& sticky = runtime().devices[static_cast<std::size_t>(device)].sticky;
  if (sticky == cudaSuccess) sticky = error;
}

CUstream_st* resolve(cudaStream_t stream) {
  if (runtime().devices.empty()) return nullptr;
  if (stream == nullptr || stream == cudaStreamLegacy) return runtime().current().legacy;
  if (stream == cudaStreamPerThread) return per_thread_stream();
  return runtime().streams.count(stream) != 0 ? stream : nullptr;
}

}  // namespace simt
