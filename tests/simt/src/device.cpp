// Devices: how many, which kind, their properties and attributes, peers, synchronisation and reset.
#include <algorithm>
#include <array>
#include <cstring>

#include <cuda_profiler_api.h>

#include "architecture.hpp"
#include "call_log.hpp"
#include "capture.hpp"
#include "runtime.hpp"
#include "sanitizer.hpp"

namespace simt {

void forget_memory(int device);

namespace {

constexpr std::array<Architecture, 6> kArchitectures{{
    {75, "T4", 40, 64 << 10, 0, 64 << 10, 1024, 16, 4 << 20},
    {80, "A100", 108, 163 << 10, 1024, 164 << 10, 2048, 32, 40 << 20},
    {89, "L4", 58, 99 << 10, 1024, 100 << 10, 1536, 24, 48 << 20},
    {90, "H100", 132, 227 << 10, 1024, 228 << 10, 2048, 32, 50 << 20},
    {100, "B200", 148, 227 << 10, 1024, 228 << 10, 2048, 32, 126 << 20},
    {120, "RTX 5090", 170, 99 << 10, 1024, 100 << 10, 1536, 24, 96 << 20},
}};

bool is_device(int device) {
  return device >= 0 && device < static_cast<int>(runtime().devices.size());
}

cudaError_t attribute_of(int* value, cudaDeviceAttr attribute, int device) {
  if (!is_device(device)) return cudaErrorInvalidDevice;
  const cudaDeviceProp p = properties(device);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = p.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxBlockDimX:
      *value = p.maxThreadsDim[0];
      break;
    case cudaDevAttrMaxBlockDimY:
      *value = p.maxThreadsDim[1];
      break;
    case cudaDevAttrMaxBlockDimZ:
      *value = p.maxThreadsDim[2];
      break;
    case cudaDevAttrMaxGridDimX:
      *value = p.maxGridSize[0];
      break;
    case cudaDevAttrMaxGridDimY:
      *value = p.maxGridSize[1];
      break;
    case cudaDevAttrMaxGridDimZ:
      *value = p.maxGridSize[2];
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(p.sharedMemPerBlock);
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(p.sharedMemPerBlockOptin);
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(p.sharedMemPerMultiprocessor);
      break;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      *value = static_cast<int>(p.reservedSharedMemPerBlock);
      break;
    case cudaDevAttrWarpSize:
      *value = p.warpSize;
      break;
    case cudaDevAttrMaxRegistersPerBlock:
      *value = p.regsPerBlock;
      break;
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      *value = p.regsPerMultiprocessor;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = p.multiProcessorCount;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = p.maxThreadsPerMultiProcessor;
      break;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      *value = p.maxBlocksPerMultiProcessor;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = p.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = p.minor;
      break;
    case cudaDevAttrL2CacheSize:
      *value = p.l2CacheSize;
      break;
    case cudaDevAttrMemoryPoolsSupported:
      *value = p.memoryPoolsSupported;
      break;
    case cudaDevAttrUnifiedAddressing:
      *value = p.unifiedAddressing;
      break;
    case cudaDevAttrManagedMemory:
      *value = p.managedMemory;
      break;
    case cudaDevAttrConcurrentKernels:
      *value = p.concurrentKernels;
      break;
    case cudaDevAttrCooperativeLaunch:
      *value = 0;
      break;  // blocks run one after another
    case cudaDevAttrPciBusId:
      *value = p.pciBusID;
      break;
    default:
      return cudaErrorNotSupported;  // better than a number that nobody thought about
  }
  return cudaSuccess;
}

// Unlike other calls these must answer where there is no device.
template <class F>
cudaError_t without_device(F body) {
  Runtime& rt = runtime();
  const std::lock_guard guard(rt.lock);
  const Unwatched unwatched;
  start_once();
  return remember(body());
}

}  // namespace

const Architecture& architecture() {
  const auto it = std::find_if(kArchitectures.begin(), kArchitectures.end(),
                               [](const Architecture& a) { return a.number == options().architecture; });
  return it == kArchitectures.end() ? kArchitectures[3] : *it;
}

bool is_architecture(int number) {
  return std::any_of(kArchitectures.begin(), kArchitectures.end(),
                     [&](const Architecture& a) { return a.number == number; });
}

cudaDeviceProp properties(int device) {
  const Architecture& a = architecture();
  cudaDeviceProp p{};
  std::snprintf(p.name, sizeof p.name, "software device %d (%s, sm_%d)", device, a.name, a.number);
  p.uuid.bytes[0] = static_cast<char>(device + 1);
  p.major = a.number / 10;
  p.minor = a.number % 10;
  p.totalGlobalMem = options().device_memory;
  p.sharedMemPerBlock = kSharedDefault;
  p.sharedMemPerBlockOptin = static_cast<std::size_t>(a.shared_optin);
  p.sharedMemPerMultiprocessor = static_cast<std::size_t>(a.shared_per_multiprocessor);
  p.reservedSharedMemPerBlock = static_cast<std::size_t>(a.shared_reserved);
  p.regsPerBlock = p.regsPerMultiprocessor = kRegisters;
  p.warpSize = 32;
  p.maxThreadsPerBlock = kThreadsPerBlock;
  p.maxThreadsDim[0] = p.maxThreadsDim[1] = 1024;
  p.maxThreadsDim[2] = 64;
  p.maxGridSize[0] = 2147483647;
  p.maxGridSize[1] = p.maxGridSize[2] = 65535;
  p.totalConstMem = 64 << 10;
  p.textureAlignment = 512;
  p.multiProcessorCount = a.multiprocessors;
  p.maxThreadsPerMultiProcessor = a.threads_per_multiprocessor;
  p.maxBlocksPerMultiProcessor = a.blocks_per_multiprocessor;
  p.l2CacheSize = a.l2_bytes;
  p.concurrentKernels = p.unifiedAddressing = p.managedMemory = p.memoryPoolsSupported = 1;
  p.canMapHostMemory = p.streamPrioritiesSupported = 1;
  p.asyncEngineCount = 2;
  p.pciBusID = device + 1;
  return p;
}

}  // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return without_device([&] {
    *count = static_cast<int>(runtime().devices.size());
    return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
  });
}
cudaError_t cudaDriverGetVersion(int* version) {
  return without_device([&] { return *version = CUDART_VERSION, cudaSuccess; });
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  return without_device([&] { return *version = CUDART_VERSION, cudaSuccess; });
}

cudaError_t cudaGetDevice(int* device) {
  return call(
      "cudaGetDevice", [&] { return *device = current_device(), cudaSuccess; }, Dead::run_anyway);
}
cudaError_t cudaSetDevice(int device) {
  // Not through call(): the device one leaves may be dead, which is none of the new one's business.
  return without_device([&] {
    if (!is_device(device)) return runtime().devices.empty() ? cudaErrorNoDevice : cudaErrorInvalidDevice;
    thread_device() = device;
    return runtime().devices[static_cast<std::size_t>(device)].sticky;
  });
}
cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
  return call("cudaInitDevice", [&] { return is_device(device) ? cudaSuccess : cudaErrorInvalidDevice; });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  return call("cudaGetDeviceProperties", [&] {
    if (!is_device(device)) return cudaErrorInvalidDevice;
    return *p = properties(device), cudaSuccess;
  });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return call("cudaDeviceGetAttribute", [&] { return attribute_of(value, attribute, device); });
}

// No profiler: the calls are counted like all others.
cudaError_t cudaProfilerStart() {
  return call("cudaProfilerStart", [&] { return cudaSuccess; });
}

cudaError_t cudaProfilerStop() {
  return call("cudaProfilerStop", [&] { return cudaSuccess; });
}

cudaError_t cudaDeviceSynchronize() {
  return call("cudaDeviceSynchronize", [&] {
    if (const cudaError_t error = unsafe_call_in_capture(); error != cudaSuccess) return error;
    drain(current_device());
    return runtime().current().sticky;
  });
}

// Brings a dead device back, without its memory.
cudaError_t cudaDeviceReset() {
  return without_device([&] {
    if (runtime().devices.empty()) return cudaErrorNoDevice;
    drain(current_device());
    forget_memory(current_device());
    runtime().current().sticky = cudaSuccess;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return call("cudaDeviceCanAccessPeer", [&] {
    if (!is_device(device) || !is_device(peer)) return cudaErrorInvalidDevice;
    return *can = device != peer, cudaSuccess;
  });
}
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
  return call("cudaDeviceEnablePeerAccess", [&] {
    if (flags != 0) return cudaErrorInvalidValue;
    if (!is_device(peer) || peer == current_device()) return cudaErrorInvalidDevice;
    return runtime().current().peers.insert(peer).second ? cudaSuccess : cudaErrorPeerAccessAlreadyEnabled;
  });
}
cudaError_t cudaDeviceDisablePeerAccess(int peer) {
  return call("cudaDeviceDisablePeerAccess", [&] {
    if (!is_device(peer)) return cudaErrorInvalidDevice;
    return runtime().current().peers.erase(peer) == 1 ? cudaSuccess : cudaErrorPeerAccessNotEnabled;
  });
}

// One pool per device, whose attributes change nothing here.
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return call("cudaDeviceGetDefaultMemPool", [&] {
    if (!is_device(device)) return cudaErrorInvalidDevice;
    return *pool = reinterpret_cast<cudaMemPool_t>(&runtime().devices[static_cast<std::size_t>(device)]),
           cudaSuccess;
  });
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) {
  return call("cudaMemPoolSetAttribute", [] { return cudaSuccess; });
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) {
  return call("cudaMemPoolTrimTo", [] { return cudaSuccess; });
}

}  // extern "C"
