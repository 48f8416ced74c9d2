// Kernel launches: limits, parameters, function attributes, occupancy.
#include <cuda_occupancy.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "architecture.hpp"
#include "call_log.hpp"
#include "capture.hpp"
#include "executor.hpp"
#include "report.hpp"
#include "runtime.hpp"
#include "sanitizer.hpp"
#include "symbols.hpp"

namespace simt {
namespace {

constexpr std::size_t kParameterLimit = 4096;

struct FunctionState {
  int dynamic_limit = kSharedDefault;
  int registers = 32;
  int launch_bound = 0;  // 0: not looked up yet
  std::size_t static_bytes = 0;
};

std::map<const void*, FunctionState>& function_states() {
  static std::map<const void*, FunctionState> states;
  return states;
}

FunctionState& function_state(const void* kernel) {
  FunctionState& s = function_states()[kernel];
  if (s.launch_bound == 0) {
    s.launch_bound = launch_bound_of(kernel);
    // AddressSanitizer's margins would count as shared memory.
    s.static_bytes = under_asan() ? 0 : static_shared_bytes_of(kernel);
  }
  return s;
}

struct Refusal {
  cudaError_t code = cudaSuccess;
  std::string reason;
};

Refusal check_limits(const cudaLaunchConfig_t& c, const void* kernel) {
  const dim3 g = c.gridDim, b = c.blockDim;
  const std::size_t threads = std::size_t{b.x} * b.y * b.z;
  const auto shape = [](dim3 d) {
    return std::to_string(d.x) + "x" + std::to_string(d.y) + "x" + std::to_string(d.z);
  };
  if (g.x == 0 || g.y == 0 || g.z == 0 || threads == 0) {
    return {cudaErrorInvalidConfiguration, "an empty grid " + shape(g) + " of blocks " + shape(b)};
  }
  if (g.x > 2147483647u || g.y > 65535 || g.z > 65535) {
    return {cudaErrorInvalidConfiguration,
            "a grid of " + shape(g) + " blocks; the limit is 2147483647x65535x65535"};
  }
  if (threads > kThreadsPerBlock || b.z > 64) {
    return {cudaErrorInvalidConfiguration,
            "a block of " + shape(b) + " threads; the limit is 1024, and 64 in z"};
  }
  const FunctionState& f = function_state(kernel);
  if (threads > static_cast<std::size_t>(f.launch_bound)) {
    return {cudaErrorLaunchOutOfResources, "a block of " + std::to_string(threads) +
                                               " threads; __launch_bounds__ says " +
                                               std::to_string(f.launch_bound)};
  }
  if (f.static_bytes > kSharedDefault) {
    return {cudaErrorInvalidValue,
            std::to_string(f.static_bytes) + " bytes of static shared memory; the limit is 49152"};
  }
  if (c.dynamicSmemBytes > static_cast<std::size_t>(f.dynamic_limit)) {
    return {cudaErrorInvalidValue, std::to_string(c.dynamicSmemBytes) + " bytes of dynamic shared memory; " +
                                       std::to_string(f.dynamic_limit) + " without a larger " +
                                       "cudaFuncAttributeMaxDynamicSharedMemorySize"};
  }
  const std::size_t all = f.static_bytes + c.dynamicSmemBytes;
  if (all > static_cast<std::size_t>(architecture().shared_optin)) {
    return {cudaErrorInvalidValue, std::to_string(all) + " bytes of shared memory in all; sm_" +
                                       std::to_string(architecture().number) + " has " +
                                       std::to_string(architecture().shared_optin) + " per block"};
  }
  for (unsigned i = 0; i < c.numAttrs; ++i) {
    const auto id = c.attrs[i].id;
    if (id == cudaLaunchAttributeCooperative || id == cudaLaunchAttributeClusterDimension) {
      return {cudaErrorNotSupported, "cooperative launches and clusters: blocks run one after another here"};
    }
  }
  return {};
}

std::size_t parameter_bytes(const Signature& s, std::vector<std::size_t>& offsets) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < s.count; ++i) {
    total = (total + s.alignments[i] - 1) / s.alignments[i] * s.alignments[i];
    offsets.push_back(total);
    total += s.sizes[i];
  }
  return total;
}

}  // namespace

KernelWork::KernelWork(const cudaLaunchConfig_t& config, const void* kernel, void** parameters,
                       const Signature& signature)
    : config_(config), kernel_(kernel), signature_(signature) {
  config_.attrs = nullptr;
  config_.numAttrs = 0;
  std::vector<std::size_t> offsets;
  const std::size_t bytes = parameter_bytes(signature, offsets);
  storage_.reset(static_cast<unsigned char*>(std::aligned_alloc(128, (bytes + 128) / 128 * 128)), std::free);
  for (std::size_t i = 0; i < signature.count; ++i) {
    std::memcpy(storage_.get() + offsets[i], parameters[i], signature.sizes[i]);
    pointers_.push_back(storage_.get() + offsets[i]);
  }
}

void KernelWork::run() const {
  // A kernel may change its parameters, and a graph runs it again: it gets a copy.
  std::vector<std::size_t> offsets;
  const std::size_t bytes = parameter_bytes(signature_, offsets);
  const std::shared_ptr<void> copy(std::aligned_alloc(128, (bytes + 128) / 128 * 128), std::free);
  copy_unseen(copy.get(), storage_.get(), bytes);
  std::vector<void*> pointers;
  for (const std::size_t offset : offsets)
    pointers.push_back(static_cast<unsigned char*>(copy.get()) + offset);

  const Grid grid{config_.gridDim, config_.blockDim, config_.dynamicSmemBytes,
                  signature_.call, kernel_,          pointers.data()};
  const int device = running_device();
  if (const cudaError_t fault = run_grid(grid); fault != cudaSuccess) return kill_device(device, fault);
  if (const std::string broken = broken_guards(); !broken.empty()) {
    report_damage(broken, kernel_);
    kill_device(device, cudaErrorIllegalAddress);
  }
}

bool KernelWork::replaceable_by(const Work& other) const {
  const auto* kernel = dynamic_cast<const KernelWork*>(&other);
  return kernel != nullptr && kernel->kernel_ == kernel_;
}

cudaKernelNodeParams KernelWork::params() const {
  cudaKernelNodeParams p{};
  p.func = const_cast<void*>(kernel_);
  p.gridDim = config_.gridDim;
  p.blockDim = config_.blockDim;
  p.sharedMemBytes = static_cast<unsigned>(config_.dynamicSmemBytes);
  p.kernelParams = pointers_.data();
  return p;
}

std::shared_ptr<KernelWork> KernelWork::with(const cudaKernelNodeParams& params) const {
  if (params.func != kernel_ || params.kernelParams == nullptr)
    return nullptr;  // another kernel's types are unknown
  cudaLaunchConfig_t config = config_;
  config.gridDim = params.gridDim;
  config.blockDim = params.blockDim;
  config.dynamicSmemBytes = params.sharedMemBytes;
  if (check_limits(config, kernel_).code != cudaSuccess) return nullptr;
  return std::make_shared<KernelWork>(config, kernel_, params.kernelParams, signature_);
}

cudaError_t launch(const Location& at, const cudaLaunchConfig_t* config, const void* kernel,
                   void** parameters, const Signature& signature) {
  return call("cudaLaunchKernelExC", [&] {
    if (config == nullptr || kernel == nullptr) return cudaErrorInvalidValue;
    Refusal refusal = check_limits(*config, kernel);
    std::vector<std::size_t> offsets;
    if (parameter_bytes(signature, offsets) > kParameterLimit) {
      refusal = {cudaErrorInvalidValue, "more than 4096 bytes of kernel parameters"};
    }
    CUstream_st* stream = resolve(config->stream);
    if (stream == nullptr || stream->device != current_device()) {
      refusal = {cudaErrorInvalidResourceHandle, "a stream that does not belong to the current device"};
    }
    if (refusal.code != cudaSuccess) {
      report_refusal(refusal.reason, kernel, at);
      return refusal.code;
    }
    return submit(stream, std::make_shared<KernelWork>(*config, kernel, parameters, signature));
  });
}

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  return call("simt::enqueue", [&] {
    CUstream_st* s = resolve(stream);
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    return submit(s, std::make_shared<FunctionWork>(cudaGraphNodeTypeKernel, work));
  });
}

void forget_function_attributes() {
  for (auto& [kernel, state] : function_states()) state.dynamic_limit = kSharedDefault;
}

void set_registers(const void* kernel, int registers) {
  function_state(kernel).registers = registers;
}

}  // namespace simt

using namespace simt;

extern "C" {

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t*, const void*, void**) {
  return call("cudaLaunchKernelExC",
              [] { return cudaErrorNotSupported; });  // the parameters' types are unknown
}
cudaError_t cudaLaunchKernel(const void*, dim3, dim3, void**, std::size_t, cudaStream_t) {
  return call("cudaLaunchKernel", [] { return cudaErrorNotSupported; });
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  return call("cudaFuncSetAttribute", [&] {
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaErrorNotSupported;
    FunctionState& f = function_state(kernel);
    if (value < 0 || value + static_cast<int>(f.static_bytes) > architecture().shared_optin)
      return cudaErrorInvalidValue;
    return f.dynamic_limit = value, cudaSuccess;
  });
}

cudaError_t cudaFuncSetCacheConfig(const void*, cudaFuncCache) {
  return call("cudaFuncSetCacheConfig", [] { return cudaSuccess; });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* a, const void* kernel) {
  return call("cudaFuncGetAttributes", [&] {
    const FunctionState& f = function_state(kernel);
    *a = {};
    a->sharedSizeBytes = f.static_bytes;
    a->maxDynamicSharedSizeBytes = f.dynamic_limit;
    a->maxThreadsPerBlock = f.launch_bound;
    a->numRegs = f.registers;
    a->ptxVersion = a->binaryVersion = architecture().number;
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* kernel,
                                                                   int block_size, std::size_t dynamic_bytes,
                                                                   unsigned) {
  return call("cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&] {
    const FunctionState& f = function_state(kernel);
    cudaFuncAttributes attributes{};
    attributes.sharedSizeBytes = f.static_bytes;
    attributes.maxDynamicSharedSizeBytes = f.dynamic_limit;
    attributes.maxThreadsPerBlock = f.launch_bound;
    attributes.numRegs = f.registers;
    const cudaOccDeviceProp device = properties(current_device());
    const cudaOccFuncAttributes function = attributes;
    const cudaOccDeviceState state;
    cudaOccResult result{};
    if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &function, &state, block_size,
                                                dynamic_bytes) != CUDA_OCC_SUCCESS) {
      return cudaErrorInvalidValue;
    }
    return *blocks = result.activeBlocksPerMultiprocessor, cudaSuccess;
  });
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel, int block_size,
                                                          std::size_t dynamic_bytes) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, kernel, block_size, dynamic_bytes, 0);
}

}  // extern "C"
