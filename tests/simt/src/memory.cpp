// Device and pinned memory: fresh memory is NaN, its ends are guarded, and only its device may touch it.
#include <cstdlib>
#include <cstring>
#include <string>

#include "call_log.hpp"
#include "capture.hpp"
#include "executor.hpp"
#include "runtime.hpp"
#include "sanitizer.hpp"

namespace simt {
namespace {

constexpr std::size_t kAlignment = 256;  // what cudaMalloc promises
constexpr std::size_t kGuard = 256;
constexpr unsigned char kGuardByte = 0xa7;

void fill_guard(unsigned char* p) {
  for (std::size_t i = 0; i < kGuard; ++i) static_cast<volatile unsigned char*>(p)[i] = kGuardByte;
}

// Under AddressSanitizer the allocator itself guards to the byte; elsewhere we keep a margin of known bytes.
bool allocate(std::size_t n, Allocation& a, char*& user) {
  a.guarded = !under_asan();
  void* block = nullptr;
  if (posix_memalign(&block, kAlignment, a.guarded ? n + 2 * kGuard : std::max<std::size_t>(n, 1)) != 0)
    return false;
  a.block = block;
  user = static_cast<char*>(block) + (a.guarded ? kGuard : 0);
  if (a.guarded) {
    fill_guard(static_cast<unsigned char*>(block));
    fill_guard(reinterpret_cast<unsigned char*>(user) + n);
  }
  poison_bytes(user, n);
  return true;
}

bool closed_to_host(const Allocation& a) {
  return options().protect && a.kind == Allocation::Kind::device;
}

// A limit that was lowered since may be below what is used.
std::size_t free_of(const Device& device) {
  const std::size_t limit = options().device_memory;
  return limit > device.used ? limit - device.used : 0;
}

cudaError_t new_allocation(void** p, std::size_t n, Allocation::Kind kind, bool usable = true) {
  if (p == nullptr) return cudaErrorInvalidValue;
  Runtime& rt = runtime();
  Device& device = rt.current();
  if (kind == Allocation::Kind::device && n > free_of(device)) return cudaErrorMemoryAllocation;
  Allocation a{n, kind, current_device(), nullptr, usable, false};
  char* user = nullptr;
  if (!allocate(n, a, user)) return cudaErrorMemoryAllocation;
  if (kind == Allocation::Kind::device) device.used += n;
  if (closed_to_host(a)) close_memory(user, n);
  rt.memory.emplace(user, a);
  *p = user;
  return cudaSuccess;
}

cudaError_t release_allocation(void* p, Allocation::Kind wanted) {
  auto& memory = runtime().memory;
  const auto it = memory.find(static_cast<char*>(p));
  if (it == memory.end()) return cudaErrorInvalidValue;
  const Allocation a = it->second;
  const bool device = a.kind != Allocation::Kind::pinned;
  if (device != (wanted != Allocation::Kind::pinned)) return cudaErrorInvalidValue;
  if (a.kind == Allocation::Kind::device)
    runtime().devices[static_cast<std::size_t>(a.device)].used -= a.bytes;
  open_memory(p, a.bytes);
  memory.erase(it);
  std::free(a.block);
  return cudaSuccess;
}

bool guard_is_whole(const unsigned char* p) {
  for (std::size_t i = 0; i < kGuard; ++i) {
    if (p[i] != kGuardByte) return false;
  }
  return true;
}

}  // namespace

Allocation* find_allocation(const void* p, const char** base) {
  auto& memory = runtime().memory;
  const char* address = static_cast<const char*>(p);
  auto it = memory.upper_bound(address);
  if (it == memory.begin()) return nullptr;
  --it;
  // One past the end still belongs to it, so that an overrun of a whole buffer is recognised as one.
  if (address > it->first + it->second.bytes) return nullptr;
  if (base != nullptr) *base = it->first;
  return &it->second;
}

bool inside_device_memory(const void* p, std::size_t n) {
  const char* base = nullptr;
  const Allocation* a = find_allocation(p, &base);
  return a != nullptr && a->kind != Allocation::Kind::pinned &&
         static_cast<const char*>(p) + n <= base + a->bytes;
}

bool is_pinned(const void* p) {
  const Allocation* a = find_allocation(p);
  return a != nullptr && a->kind != Allocation::Kind::device;
}

void open_device_memory(int device) {
  if (!under_asan() || !options().protect) return;
  const Device& d = runtime().devices[static_cast<std::size_t>(device)];
  for (const auto& [p, a] : runtime().memory) {
    if (closed_to_host(a) && a.usable && (a.device == device || d.peers.count(a.device) != 0))
      open_memory(p, a.bytes);
  }
}

void close_device_memory(int device) {
  if (!under_asan() || !options().protect) return;
  const Device& d = runtime().devices[static_cast<std::size_t>(device)];
  for (const auto& [p, a] : runtime().memory) {
    if (closed_to_host(a) && (a.device == device || d.peers.count(a.device) != 0)) close_memory(p, a.bytes);
  }
}

std::string broken_guards() {
  std::string report;
  for (auto& [p, a] : runtime().memory) {
    if (!a.guarded) continue;
    auto* before = static_cast<unsigned char*>(a.block);
    auto* after = reinterpret_cast<unsigned char*>(const_cast<char*>(p)) + a.bytes;
    for (const bool end : {false, true}) {
      unsigned char* guard = end ? after : before;
      if (guard_is_whole(guard)) continue;
      report += "a write " + std::string(end ? "past the end" : "before the beginning") +
                " of an allocation of " + std::to_string(a.bytes) + " bytes";
      fill_guard(guard);
    }
  }
  return report;
}

std::size_t live_allocations(int device) {
  Runtime& rt = runtime();
  const std::lock_guard guard(rt.lock);
  std::size_t count = 0;
  for (const auto& [p, a] : rt.memory) count += a.device == device;
  return count;
}

void forget_memory(int device) {  // cudaDeviceReset
  auto& memory = runtime().memory;
  for (auto it = memory.begin(); it != memory.end();) {
    const auto next = std::next(it);
    if (it->second.device == device && it->second.kind != Allocation::Kind::pinned) {
      release_allocation(const_cast<char*>(it->first), it->second.kind);
    }
    it = next;
  }
}

}  // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaMalloc(void** p, std::size_t n) {
  return call("cudaMalloc", [&] {
    if (const cudaError_t error = unsafe_call_in_capture(); error != cudaSuccess) return error;
    if (p != nullptr && n == 0) return *p = nullptr, cudaSuccess;
    return new_allocation(p, n, Allocation::Kind::device);
  });
}

cudaError_t cudaMallocManaged(void** p, std::size_t n, unsigned) {
  return call("cudaMallocManaged", [&] {
    if (const cudaError_t error = unsafe_call_in_capture(); error != cudaSuccess) return error;
    return n == 0 ? cudaErrorInvalidValue : new_allocation(p, n, Allocation::Kind::managed);
  });
}

cudaError_t cudaFree(void* p) {
  return call(
      "cudaFree",
      [&] {
        if (p == nullptr) return cudaSuccess;
        if (const cudaError_t error = unsafe_call_in_capture(); error != cudaSuccess) return error;
        drain(-1);  // cudaFree waits for the device
        return release_allocation(p, Allocation::Kind::device);
      },
      Dead::run_anyway);
}

cudaError_t cudaMallocHost(void** p, std::size_t n) {
  return call("cudaMallocHost", [&] {
    if (const cudaError_t error = unsafe_call_in_capture(); error != cudaSuccess) return error;
    return new_allocation(p, n, Allocation::Kind::pinned);
  });
}

cudaError_t cudaHostAlloc(void** p, std::size_t n, unsigned) {
  return call("cudaHostAlloc", [&] {
    if (const cudaError_t error = unsafe_call_in_capture(); error != cudaSuccess) return error;
    return new_allocation(p, n, Allocation::Kind::pinned);
  });
}

cudaError_t cudaFreeHost(void* p) {
  return call(
      "cudaFreeHost",
      [&] {
        if (p == nullptr) return cudaSuccess;
        drain(-1);
        return release_allocation(p, Allocation::Kind::pinned);
      },
      Dead::run_anyway);
}

// The address is there at once, the memory only when the stream comes to it.
cudaError_t cudaMallocAsync(void** p, std::size_t n, cudaStream_t stream) {
  return call("cudaMallocAsync", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    if (s->capture != nullptr) return cudaErrorNotSupported;  // memory nodes are not modelled
    if (const cudaError_t error = new_allocation(p, n, Allocation::Kind::device, false);
        error != cudaSuccess) {
      return error;
    }
    const void* address = *p;
    return submit(s, std::make_shared<FunctionWork>(cudaGraphNodeTypeMemAlloc, [address] {
                    if (Allocation* a = find_allocation(address)) a->usable = true;
                  }));
  });
}

cudaError_t cudaMallocFromPoolAsync(void** p, std::size_t n, cudaMemPool_t, cudaStream_t stream) {
  return cudaMallocAsync(p, n, stream);
}

cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  return call(
      "cudaFreeAsync",
      [&] {
        if (p == nullptr) return cudaSuccess;
        if (runtime().memory.count(static_cast<char*>(p)) == 0) return cudaErrorInvalidValue;
        CUstream_st* s = resolve(stream);
        if (s == nullptr) return cudaErrorInvalidResourceHandle;
        if (s->capture != nullptr) return cudaErrorNotSupported;
        return submit(s, std::make_shared<FunctionWork>(cudaGraphNodeTypeMemFree, [p] {
                        release_allocation(p, Allocation::Kind::device);
                      }));
      },
      Dead::run_anyway);
}

cudaError_t cudaHostRegister(void*, std::size_t, unsigned) {
  return call("cudaHostRegister", [] { return cudaSuccess; });  // it stays pageable: the stricter reading
}
cudaError_t cudaHostUnregister(void*) {
  return call("cudaHostUnregister", [] { return cudaSuccess; });
}
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned) {
  return call("cudaHostGetDevicePointer", [&] {
    if (!is_pinned(host)) return cudaErrorInvalidValue;
    return *device = host, cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return call("cudaMemGetInfo", [&] {
    *total = options().device_memory;
    *free = free_of(runtime().current());
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p) {
  return call("cudaPointerGetAttributes", [&] {
    *attributes = {};
    const Allocation* a = find_allocation(p);
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->device = -2;  // what CUDA says of memory it does not know
    if (a == nullptr) return cudaSuccess;
    attributes->device = a->device;
    attributes->devicePointer = const_cast<void*>(p);
    if (a->kind != Allocation::Kind::device) attributes->hostPointer = const_cast<void*>(p);
    attributes->type = a->kind == Allocation::Kind::device   ? cudaMemoryTypeDevice
                       : a->kind == Allocation::Kind::pinned ? cudaMemoryTypeHost
                                                             : cudaMemoryTypeManaged;
    return cudaSuccess;
  });
}

}  // extern "C"
