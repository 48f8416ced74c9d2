// memcpy and memset of all kinds.
#include <cstdlib>
#include <cstring>
#include <utility>

#include "call_log.hpp"
#include "capture.hpp"
#include "runtime.hpp"
#include "sanitizer.hpp"

namespace simt {
namespace {

struct Copy {  // of `rows` rows; a plain copy has one
  void* to;
  std::size_t to_pitch;
  const void* from;
  std::size_t from_pitch;
  std::size_t bytes;  // per row
  std::size_t rows;

  std::size_t to_extent() const { return rows == 0 || bytes == 0 ? 0 : (rows - 1) * to_pitch + bytes; }
  std::size_t from_extent() const { return rows == 0 || bytes == 0 ? 0 : (rows - 1) * from_pitch + bytes; }
};

void perform(const Copy& c) {
  for (std::size_t r = 0; r < c.rows; ++r) {
    std::memmove(static_cast<char*>(c.to) + r * c.to_pitch,
                 static_cast<const char*>(c.from) + r * c.from_pitch, c.bytes);
  }
}

bool on_device(const void* p) {
  const Allocation* a = find_allocation(p);
  return a != nullptr && a->kind != Allocation::Kind::pinned;
}

// The direction must be true of the pointers, and device ranges must lie inside one allocation.
bool is_valid(const Copy& c, cudaMemcpyKind kind) {
  if (c.to_extent() == 0) return true;
  if (c.to_pitch < c.bytes || c.from_pitch < c.bytes) return false;
  const auto fits = [&](const void* p, std::size_t n, bool device) {
    const Allocation* a = find_allocation(p);
    if (device) return inside_device_memory(p, n);
    return a == nullptr || a->kind != Allocation::Kind::device;
  };
  const bool to_device = kind == cudaMemcpyDefault
                             ? on_device(c.to)
                             : kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDefault
                               ? on_device(c.from)
                               : kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  return fits(c.to, c.to_extent(), to_device) && fits(c.from, c.from_extent(), from_device);
}

// A pageable source may be staged during the call or read when the copy's turn comes; a program must be right
// either way, so random streams do now the one, now the other, and lazy ones the later.
std::shared_ptr<unsigned char> stage(const Copy& c) {
  std::shared_ptr<unsigned char> copy(static_cast<unsigned char*>(std::malloc(c.from_extent())), std::free);
  std::memcpy(copy.get(), c.from, c.from_extent());
  return copy;
}

WorkRef copy_work(const CUstream_st& stream, Copy c) {
  std::vector<HostRange> ranges;
  const bool from_host = !on_device(c.from), to_host = !on_device(c.to);
  if (to_host) ranges.push_back({c.to, c.to_extent()});
  if (from_host && stream.capture == nullptr && !is_pinned(c.from) && options().streams == Streams::random &&
      runtime().random.below(2) == 0) {
    auto staged = stage(c);
    c.from = staged.get();
    return std::make_shared<FunctionWork>(
        cudaGraphNodeTypeMemcpy, [c, staged] { perform(c); }, ranges);
  }
  if (from_host) ranges.push_back({c.from, c.from_extent()});
  return std::make_shared<FunctionWork>(
      cudaGraphNodeTypeMemcpy, [c] { perform(c); }, ranges);
}

cudaError_t copy_async(const Copy& c, cudaMemcpyKind kind, cudaStream_t stream) {
  CUstream_st* s = resolve(stream);
  if (s == nullptr) return cudaErrorInvalidResourceHandle;
  if (!is_valid(c, kind)) return cudaErrorInvalidValue;
  if (c.to_extent() == 0) return cudaSuccess;
  return submit(s, copy_work(*s, c));
}

cudaError_t copy_now(const Copy& c, cudaMemcpyKind kind) {
  if (!is_valid(c, kind)) return cudaErrorInvalidValue;
  CUstream_st* legacy = runtime().current().legacy;
  if (const cudaError_t error = legacy_stream_in_capture(); error != cudaSuccess) return error;
  if (c.to_extent() == 0) return cudaSuccess;
  if (const cudaError_t error = submit(legacy, copy_work(*legacy, c)); error != cudaSuccess) return error;
  wait_for(legacy->last);
  return runtime().current().sticky;
}

Copy flat(void* to, const void* from, std::size_t n) {
  return {to, n, from, n, n, 1};
}

cudaError_t fill(void* to, std::size_t pitch, int value, std::size_t width, std::size_t rows,
                 cudaStream_t stream) {
  CUstream_st* s = resolve(stream);
  if (s == nullptr) return cudaErrorInvalidResourceHandle;
  if (width == 0 || rows == 0) return cudaSuccess;
  if (pitch < width || !(inside_device_memory(to, (rows - 1) * pitch + width) || is_pinned(to))) {
    return cudaErrorInvalidValue;
  }
  return submit(s, std::make_shared<FunctionWork>(cudaGraphNodeTypeMemset, [=] {
                  for (std::size_t r = 0; r < rows; ++r)
                    std::memset(static_cast<char*>(to) + r * pitch, value, width);
                }));
}

}  // namespace
}  // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t n, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return call("cudaMemcpyAsync", [&] { return copy_async(flat(to, from, n), kind, stream); });
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t n, cudaMemcpyKind kind) {
  return call("cudaMemcpy", [&] { return copy_now(flat(to, from, n), kind); });
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                              std::size_t width, std::size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  return call("cudaMemcpy2DAsync", [&] {
    return copy_async({to, to_pitch, from, from_pitch, width, height}, kind, stream);
  });
}
cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                         std::size_t width, std::size_t height, cudaMemcpyKind kind) {
  return call("cudaMemcpy2D", [&] {
    return copy_now({to, to_pitch, from, from_pitch, width, height}, kind);
  });
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, std::size_t n, cudaStream_t stream) {
  return call("cudaMemcpyPeerAsync",
              [&] { return copy_async(flat(to, from, n), cudaMemcpyDeviceToDevice, stream); });
}
cudaError_t cudaMemcpyPeer(void* to, int, const void* from, int, std::size_t n) {
  return call("cudaMemcpyPeer", [&] { return copy_now(flat(to, from, n), cudaMemcpyDeviceToDevice); });
}

// __device__ and __constant__ variables are ordinary ones here.
cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, std::size_t n, std::size_t offset,
                               cudaMemcpyKind) {
  return call("cudaMemcpyToSymbol", [&] {
    return copy_now(flat(static_cast<char*>(const_cast<void*>(symbol)) + offset, from, n), cudaMemcpyDefault);
  });
}
cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, std::size_t n, std::size_t offset,
                                    cudaMemcpyKind, cudaStream_t stream) {
  return call("cudaMemcpyToSymbolAsync", [&] {
    return copy_async(flat(static_cast<char*>(const_cast<void*>(symbol)) + offset, from, n),
                      cudaMemcpyDefault, stream);
  });
}
cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, std::size_t n, std::size_t offset,
                                 cudaMemcpyKind) {
  return call("cudaMemcpyFromSymbol", [&] {
    return copy_now(flat(to, static_cast<const char*>(symbol) + offset, n), cudaMemcpyDefault);
  });
}
cudaError_t cudaGetSymbolAddress(void** address, const void* symbol) {
  return call("cudaGetSymbolAddress", [&] { return *address = const_cast<void*>(symbol), cudaSuccess; });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t n, cudaStream_t stream) {
  return call("cudaMemsetAsync", [&] { return fill(to, n, value, n, 1, stream); });
}
cudaError_t cudaMemset(void* to, int value, std::size_t n) {
  return call("cudaMemset", [&] { return fill(to, n, value, n, 1, nullptr); });
}
cudaError_t cudaMemset2DAsync(void* to, std::size_t pitch, int value, std::size_t width, std::size_t height,
                              cudaStream_t stream) {
  return call("cudaMemset2DAsync", [&] { return fill(to, pitch, value, width, height, stream); });
}
cudaError_t cudaMemset2D(void* to, std::size_t pitch, int value, std::size_t width, std::size_t height) {
  return call("cudaMemset2D", [&] { return fill(to, pitch, value, width, height, nullptr); });
}

cudaError_t cudaMemPrefetchAsync(const void* p, std::size_t n, cudaMemLocation, unsigned, cudaStream_t) {
  return call("cudaMemPrefetchAsync",
              [&] { return inside_device_memory(p, n) ? cudaSuccess : cudaErrorInvalidValue; });
}

}  // extern "C"
