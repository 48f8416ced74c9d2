#include "library_call.hpp"

#include <cstdint>
#include <cstdlib>

#include "../src/capture.hpp"
#include "../src/report.hpp"

namespace simt {
namespace {

long objects = 0;

}  // namespace

long live_library_objects() {
  const std::lock_guard guard(runtime().lock);
  return objects;
}

namespace library {

void count_object(long change) {
  objects += change;
}

bool capturing() {
  for (const CUstream_st* stream : runtime().streams) {
    const Capture* c = stream->device == current_device() ? stream->capture : nullptr;
    if (c == nullptr || c->mode == cudaStreamCaptureModeRelaxed) continue;
    if (c->mode == cudaStreamCaptureModeGlobal || c->thread == std::this_thread::get_id()) return true;
  }
  return false;
}

bool Branch::enter(const CUstream_st& stream) {
  if (stream.capture == nullptr) return true;
  if (capture_ == stream.capture->id) return stream_ == &stream;
  capture_ = stream.capture->id, stream_ = &stream;
  return true;
}

void refuse(const char* call, const std::string& what) {
  add_report("simt: " + std::string(call) + ": " + what + "\n");
}

void fault(const char* call, const std::string& what, cudaError_t code) {
  refuse(call, what);
  if (options().on_fault == OnFault::abort) std::abort();
  kill_device(current_device(), code);
}

std::size_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  std::size_t alignment = 1;
  while (alignment < 256 && address % (2 * alignment) == 0) alignment *= 2;
  return alignment;
}

bool overlap(const Region& a, const Region& b) {
  const auto *first = static_cast<const char*>(a.data), *second = static_cast<const char*>(b.data);
  return first < second + b.bytes && second < first + a.bytes;
}

bool usable(const char* call, const std::vector<Region>& regions) {
  for (const Region& region : regions) {
    if (region.bytes == 0) continue;
    if (!inside_device_memory(region.data, region.bytes)) {
      fault(call, std::string(region.name) + " is not device memory from its first to its last byte",
            cudaErrorIllegalAddress);
      return false;
    }
    if (alignment_of(region.data) < region.alignment) {
      fault(call,
            std::string(region.name) + " is aligned to " + std::to_string(alignment_of(region.data)) +
                " bytes, the chosen kernel counts on " + std::to_string(region.alignment),
            cudaErrorMisalignedAddress);
      return false;
    }
  }
  return true;
}

bool still_there(const char* call, const std::vector<Region>& regions) {
  for (const Region& region : regions) {
    if (region.bytes == 0 || inside_device_memory(region.data, region.bytes)) continue;
    fault(call, std::string(region.name) + " was freed before the queued work ran", cudaErrorIllegalAddress);
    return false;
  }
  return true;
}

}  // namespace library
}  // namespace simt
