#include "src/graph/devices.hpp"

#include "gpunn/devices.hpp"

#include <dlfcn.h>

#include <algorithm>

#include "src/core/log.hpp"
#include "src/ir/backend.hpp"

namespace gpunn {
namespace {

constexpr const char* kPlugin = "libgpunn_cuda.so";
// "gpunn_cuda_register": devices cuda:0, cuda:1, ...; "gpunn_cuda_describe": "h100" and others, for plans.
// Null: done; else why not.
using Entry = const char* (*)(const char* build_id);

// The folder of the library that this function is part of, with a slash; empty when it cannot be told.
std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) return {};
  const std::string path = info.dli_fname;
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash + 1);
}

// Calls one of the backend's entries; what it answers, or why it could not be called.
std::string call_plugin(const char* entry) {
  void* plugin = dlopen((own_folder() + kPlugin).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) plugin = dlopen(kPlugin, RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) {
    const char* error = dlerror();
    return "the CUDA backend cannot be loaded: " + std::string(error == nullptr ? kPlugin : error);
  }
  // It stays loaded: the driver keeps pointers into it.
  const auto function = reinterpret_cast<Entry>(dlsym(plugin, entry));
  if (function == nullptr) return std::string(kPlugin) + " has no " + entry;
  const char* problem = function(GPUNN_BUILD_ID);
  return problem == nullptr ? std::string() : std::string(problem);
}

CudaProblem load_cuda() {
  // The driver first: the backend pulls in large libraries, which a machine without a GPU need not have.
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver == nullptr) return {.reason = "no NVIDIA driver (libcuda.so.1) is installed"};
  dlclose(driver);
  const std::string reason = call_plugin("gpunn_cuda_register");
  return {.reason = reason, .broken = !reason.empty()};
}

bool can_run_on(std::string_view device) {
  const std::vector<std::string> names = backend_names();
  return std::find(names.begin(), names.end(), device) != names.end();
}

BlockCache& memory_of(std::string_view asked, SourceLocation where) {
  const std::string device(asked == "cuda" ? "cuda:0" : asked);
  static_cast<void>(cuda_problem());
  BlockCache* memory = find_backend(device, where).memory();
  if (memory == nullptr) throw UsageError("device '" + device + "' has no memory of its own", where);
  return *memory;
}

}  // namespace

std::vector<std::string> devices() {
  static_cast<void>(cuda_problem());
  return backend_names();
}

MemoryStatistics memory_statistics(std::string_view device, SourceLocation where) {
  return memory_of(device, where).statistics();
}

void release_cached_memory(std::string_view device, SourceLocation where) {
  memory_of(device, where).release_cached();
}

const CudaProblem& cuda_problem() {
  static const CudaProblem problem = load_cuda();
  return problem;
}

std::string resolve_device(std::string_view asked, bool strict, SourceLocation where) {
  const std::string device(asked == "cuda" ? "cuda:0" : asked);
  if (can_run_on(device)) return device;
  const bool automatic = device == "auto";
  if (!automatic && device.rfind("cuda:", 0) != 0) {
    static_cast<void>(find_backend(device, where));  // throws, naming what there is
    throw DeviceError("device '" + device + "' can be planned for, and nothing can run on it", where);
  }
  const std::string wanted = automatic ? "cuda:0" : device;
  const CudaProblem& problem = cuda_problem();
  if (!automatic) {
    if (can_run_on(wanted)) return wanted;
  } else {
    for (const std::string& name : backend_names()) {
      if (name.rfind("cuda:", 0) != 0) continue;
      if (!problem.reason.empty())
        log_once("devices left out", LogLevel::info, "not used: " + problem.reason);
      return name;
    }
  }
  const std::string reason = problem.reason.empty() ? "there is no device " + wanted : problem.reason;
  if (strict && (!automatic || problem.broken))
    throw DeviceError("device " + wanted + " cannot be used: " + reason, where);
  const std::string message = "running on the cpu: " + reason;
  log_once("device" + wanted, automatic ? LogLevel::info : LogLevel::warning, message);
  return "cpu";
}

std::string resolve_plan_device(std::string_view asked, SourceLocation where) {
  const std::string device(asked == "cuda" ? "cuda:0" : asked);
  if (has_backend(device)) return device;
  if (device == "auto" || device.rfind("cuda:", 0) == 0) return resolve_device(device, true, where);
  static const std::string problem = call_plugin("gpunn_cuda_describe");
  if (has_backend(device)) return device;
  if (!problem.empty())
    throw DeviceError("there is no device '" + device + "' to plan for: " + problem, where);
  static_cast<void>(find_backend(device, where));  // throws, naming what there is
  return device;
}

}  // namespace gpunn
