// What is common to all API calls, and the calls about errors.
#include "call_log.hpp"
#include "capture.hpp"
#include "executor.hpp"
#include "runtime.hpp"
#include "sanitizer.hpp"

namespace simt {
namespace {

thread_local cudaError_t last_error = cudaSuccess;
thread_local int device_of_thread = 0;
thread_local bool host_function = false;

}  // namespace

int& thread_device() {
  return device_of_thread;
}
int current_device() {
  return device_of_thread;
}
bool& in_host_function() {
  return host_function;
}

Device& Runtime::current() {
  return devices[static_cast<std::size_t>(device_of_thread)];
}

cudaError_t remember(cudaError_t error) {
  // "Not ready" is an answer, not an error.
  if (error != cudaSuccess && error != cudaErrorNotReady) last_error = error;
  return error;
}

cudaError_t call(const char* name, const std::function<cudaError_t()>& body, Dead dead) {
  if (in_kernel()) fail("a kernel calls the host API", {});
  if (host_function) return remember(cudaErrorNotPermitted);
  Runtime& rt = runtime();
  const std::lock_guard guard(rt.lock);
  const Unwatched unwatched;
  start_once();
  if (rt.devices.empty()) return remember(cudaErrorNoDevice);
  const Injection injected = count_call(name);
  if (injected.code != cudaSuccess) {
    // What releases does so and then reports, as CUDA does with errors of earlier launches.
    if (dead == Dead::run_anyway) static_cast<void>(body());
    return remember(injected.code);
  }
  if (injected.kills != cudaSuccess) kill_device(device_of_thread, injected.kills);
  const auto sticky = [&] { return rt.current().sticky; };
  if (sticky() != cudaSuccess && dead == Dead::refuse) return remember(sticky());
  make_progress();
  const bool was_dead = sticky() != cudaSuccess;
  const cudaError_t result = body();
  return remember(was_dead ? sticky() : result);
}

}  // namespace simt

extern "C" {

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  simt::last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  simt::Runtime& rt = simt::runtime();
  const std::lock_guard guard(rt.lock);
  simt::start_once();
  // A dead context says so for ever.
  if (!rt.devices.empty() && rt.current().sticky != cudaSuccess) return rt.current().sticky;
  return simt::last_error;
}

}  // extern "C"
