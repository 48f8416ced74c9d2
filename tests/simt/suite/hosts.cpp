#include "hosts.hpp"

#include "check.hpp"
#include "kernels/basics.hpp"

namespace simt_suite {
namespace {

constexpr int kCount = 100;

cudaStream_t new_stream() {
  cudaStream_t stream = nullptr;
  require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return stream;
}

cudaEvent_t new_event() {
  cudaEvent_t event = nullptr;
  require(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}

float* pinned(float value) {
  float* p = nullptr;
  require(cudaMallocHost(reinterpret_cast<void**>(&p), kCount * sizeof(float)));
  for (int i = 0; i < kCount; ++i) p[i] = value;
  return p;
}

struct Three {  // x = 1, y = z = 0
  Buffer<float> x{std::vector<float>(kCount, 1.0f)}, y{std::vector<float>(kCount, 0.0f)},
      z{std::vector<float>(kCount, 0.0f)};
};

}  // namespace

double missing_wait() {
  Three v;
  const cudaStream_t a = new_stream(), b = new_stream();
  require(run_axpy(v.x.get(), v.y.get(), 2.0f, kCount, b));
  require(run_axpy(v.y.get(), v.z.get(), 1.0f, kCount, a));  // must wait for b, and does not
  require(cudaStreamSynchronize(a));
  float got = 0;
  require(cudaMemcpyAsync(&got, v.z.get(), sizeof got, cudaMemcpyDeviceToHost, a));
  require(cudaStreamSynchronize(a));
  return std::fabs(got - 2.0);
}

double missing_wait_often() {
  double worst = 0;
  for (int i = 0; i < 10; ++i) worst = std::fmax(worst, missing_wait());
  return worst;
}

double missing_wait_in_graph() {
  Three v;
  const cudaStream_t a = new_stream(), b = new_stream();
  const cudaEvent_t fork = new_event(), join = new_event();
  require(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal));
  require(cudaEventRecord(fork, a));
  require(cudaStreamWaitEvent(b, fork, 0));
  require(run_axpy(v.x.get(), v.y.get(), 2.0f, kCount, b));
  require(run_axpy(v.y.get(), v.z.get(), 1.0f, kCount, a));  // the other branch has no edge to it
  require(cudaEventRecord(join, b));
  require(cudaStreamWaitEvent(a, join, 0));
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  require(cudaStreamEndCapture(a, &graph));
  require(cudaGraphInstantiate(&exec, graph, 0));
  require(cudaGraphLaunch(exec, a));
  require(cudaStreamSynchronize(a));
  return std::fabs(v.z.read()[0] - 2.0);
}

double source_reused() {
  Three v;
  const cudaStream_t a = new_stream();
  float* host = pinned(5.0f);
  require(cudaMemcpyAsync(v.x.get(), host, kCount * sizeof(float), cudaMemcpyHostToDevice, a));
  host[7] = 9.0f;
  require(cudaStreamSynchronize(a));
  return std::fabs(v.x.read()[7] - 5.0);
}

double result_read_early() {
  Three v;
  const cudaStream_t a = new_stream();
  float* host = pinned(-1.0f);
  require(cudaMemcpyAsync(host, v.x.get(), kCount * sizeof(float), cudaMemcpyDeviceToHost, a));
  return std::fabs(host[7] - 1.0);
}

double host_reads_device() {
  Three v;
  return std::fabs(static_cast<const volatile float*>(v.x.get())[3] - 1.0);
}

double use_after_free() {
  Three v;
  float* freed = nullptr;
  require(cudaMalloc(&freed, kCount * sizeof(float)));
  require(cudaFree(freed));
  require(run_axpy(v.x.get(), freed, 1.0f, kCount, nullptr));
  require(cudaDeviceSynchronize());
  return 0;
}

double use_after_async_free() {
  Three v;
  const cudaStream_t a = new_stream();
  float* freed = nullptr;
  require(cudaMallocAsync(reinterpret_cast<void**>(&freed), kCount * sizeof(float), a));
  require(cudaFreeAsync(freed, a));
  require(run_axpy(v.x.get(), freed, 1.0f, kCount, a));
  require(cudaStreamSynchronize(a));
  return 0;
}

double use_before_async_malloc() {
  Three v;
  const cudaStream_t a = new_stream(), b = new_stream();
  float* late = nullptr;
  require(cudaMallocAsync(reinterpret_cast<void**>(&late), kCount * sizeof(float), a));
  require(run_axpy(v.x.get(), late, 1.0f, kCount, b));  // b does not wait for a
  require(cudaStreamSynchronize(b));
  return 0;
}

double freed_in_use() {
  Three v;
  const cudaStream_t a = new_stream(), b = new_stream();
  float* memory = nullptr;
  require(cudaMallocAsync(reinterpret_cast<void**>(&memory), kCount * sizeof(float), a));
  require(cudaMemsetAsync(memory, 0, kCount * sizeof(float), a));
  require(cudaStreamSynchronize(a));
  require(run_axpy(memory, v.y.get(), 1.0f, kCount, b));
  require(cudaFreeAsync(memory, a));  // a does not wait for b
  require(cudaDeviceSynchronize());
  return 0;
}

simt::Options two_devices() {
  simt::Options o;
  o.devices = 2;
  return o;
}

double peer_without_access() {
  Three v;
  require(cudaSetDevice(1));
  const cudaStream_t b = new_stream();
  require(run_axpy(v.x.get(), v.y.get(), 1.0f, kCount, b));
  require(cudaStreamSynchronize(b));
  return 0;
}

double call_in_host_function() {
  static cudaError_t code;
  require(cudaLaunchHostFunc(
      nullptr, [](void*) { code = cudaDeviceSynchronize(); }, nullptr));
  require(cudaDeviceSynchronize());
  return code == cudaErrorNotPermitted ? 1 : 0;
}

}  // namespace simt_suite
