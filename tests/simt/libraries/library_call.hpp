// What the stand-ins for cuBLASLt and cuDNN share: entry of a call, reports, memory in use by queued work.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "../src/call_log.hpp"
#include "../src/sanitizer.hpp"
#include "simt/libraries.hpp"

namespace simt::library {

template <class Status>
struct Codes {
  Status failed, out_of_memory, no_device;
};

enum class On { device, host };  // a call that needs a living device, or one that does not

// Every call runs inside this: as simt::call(), but libraries have statuses of their own and no last error.
template <class Status, class Body>
Status enter(const char* name, const Codes<Status>& codes, On on, Body body) {
  Runtime& rt = runtime();
  const std::lock_guard guard(rt.lock);
  const Unwatched unwatched;
  start_once();
  if (rt.devices.empty() && on == On::device) return codes.no_device;
  const Injection injected = count_call(name);
  if (injected.code == cudaErrorMemoryAllocation) return codes.out_of_memory;
  if (injected.code != cudaSuccess) return codes.failed;
  if (injected.kills != cudaSuccess) kill_device(current_device(), injected.kills);
  if (on == On::device && rt.current().sticky != cudaSuccess) return codes.failed;
  return body();
}

// A rule that the library itself checks.
void refuse(const char* call, const std::string& what);
// A rule that nobody checks before the hardware does: the device dies, later calls say so.
void fault(const char* call, const std::string& what, cudaError_t code);

// A piece of device memory that queued work will use.
struct Region {
  const char* name;
  const void* data;
  std::size_t bytes;
  std::size_t alignment;  // that the chosen kernel counts on
};
// At the call: inside device memory, and aligned. Faults otherwise.
bool usable(const char* call, const std::vector<Region>& regions);
// When the work runs, once or at each replay of a graph: the memory must still be there.
bool still_there(const char* call, const std::vector<Region>& regions);

std::size_t alignment_of(const void* pointer);  // the largest power of two up to 256 that divides it
bool overlap(const Region& a, const Region& b);

// Whether a capture is under way that forbids this thread to create or load anything on the current device.
bool capturing();

// What a handle has worked on. Branches of one capture run at once, and a handle must not be in both.
class Branch {
 public:
  // False: another stream of the capture that this one is part of has used it.
  bool enter(const CUstream_st& stream);

 private:
  unsigned long long capture_ = 0;
  const CUstream_st* stream_ = nullptr;
};

void count_object(long change);

}  // namespace simt::library
