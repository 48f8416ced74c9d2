// The stand-in runtime: CUDA's answers in CUDA's situations, under every order of streams.
#include <atomic>
#include <thread>

#include "check.hpp"
#include "kernels/basics.hpp"
#include "kernels/host_kernels.hpp"

namespace simt_suite {
namespace {

constexpr int kCount = 64;

std::vector<float> filled(float value) {
  return std::vector<float>(kCount, value);
}

// eager, lazy, then four seeds of random
class Runtime : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    simt::Options o;
    o.streams = GetParam() == 0   ? simt::Streams::eager
                : GetParam() == 1 ? simt::Streams::lazy
                                  : simt::Streams::random;
    o.seed = static_cast<std::uint64_t>(GetParam());
    o.devices = 2;
    o.on_fault = simt::OnFault::error;
    simt::set_options(o);
    CHECK_CUDA(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking));
    CHECK_CUDA(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    CHECK_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    CHECK_CUDA(cudaEventCreateWithFlags(&other, cudaEventDisableTiming));
  }
  void TearDown() override {
    simt::inject_faults("");
    cudaEventDestroy(event);
    cudaEventDestroy(other);
    cudaStreamDestroy(a);
    cudaStreamDestroy(b);
    cudaSetDevice(0);
    simt::set_options(simt::Options::from_environment());
    cudaGetLastError();
  }

  float first_of(const Buffer<float>& v, cudaStream_t stream) {
    float value = -1;
    require(cudaMemcpyAsync(&value, v.get(), sizeof value, cudaMemcpyDeviceToHost, stream));
    require(cudaStreamSynchronize(stream));
    return value;
  }

  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr, other = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Streams, Runtime, testing::Range(0, 6));

TEST_P(Runtime, EventsOrderStreams) {
  Buffer<float> x(filled(1)), y(filled(0)), z(filled(0));
  for (int i = 1; i <= 5; ++i) {
    CHECK_CUDA(run_axpy(x.get(), y.get(), 1, kCount, b));
    CHECK_CUDA(cudaEventRecord(event, b));
    CHECK_CUDA(cudaStreamWaitEvent(a, event, 0));
    CHECK_CUDA(run_axpy(y.get(), z.get(), 1, kCount, a));
    CHECK_CUDA(cudaEventRecord(other, a));
    CHECK_CUDA(cudaStreamWaitEvent(b, other, 0));
  }
  EXPECT_EQ(first_of(z, a), 1 + 2 + 3 + 4 + 5);
}

TEST_P(Runtime, LegacyStreamWaitsForBlockingStreamsAndTheyForIt) {
  Buffer<float> x(filled(1)), y(filled(0)), z(filled(0));
  cudaStream_t blocking = nullptr;
  CHECK_CUDA(cudaStreamCreate(&blocking));
  CHECK_CUDA(run_axpy(x.get(), y.get(), 3, kCount, blocking));
  CHECK_CUDA(run_axpy(y.get(), z.get(), 1, kCount, nullptr));
  CHECK_CUDA(run_axpy(z.get(), y.get(), 1, kCount, blocking));
  EXPECT_EQ(first_of(y, blocking), 6);
  CHECK_CUDA(cudaStreamDestroy(blocking));
}

TEST_P(Runtime, HostFunctionsRunInStreamOrder) {
  Buffer<float> x(filled(1)), y(filled(0));
  float* host = nullptr;
  CHECK_CUDA(cudaMallocHost(reinterpret_cast<void**>(&host), kCount * sizeof(float)));
  static std::atomic<float> seen;
  seen = 0;
  CHECK_CUDA(run_axpy(x.get(), y.get(), 4, kCount, a));
  CHECK_CUDA(cudaMemcpyAsync(host, y.get(), kCount * sizeof(float), cudaMemcpyDeviceToHost, a));
  CHECK_CUDA(cudaLaunchHostFunc(
      a, [](void* p) { seen = static_cast<float*>(p)[3]; }, host));
  CHECK_CUDA(cudaStreamSynchronize(a));
  EXPECT_EQ(seen, 4);
  CHECK_CUDA(cudaFreeHost(host));
}

TEST_P(Runtime, QueriesEndSomeDay) {
  Buffer<float> x(filled(1)), y(filled(0));
  CHECK_CUDA(run_axpy(x.get(), y.get(), 4, kCount, a));
  CHECK_CUDA(cudaEventRecord(event, a));
  int polls = 0;
  while (cudaEventQuery(event) == cudaErrorNotReady) ASSERT_LT(++polls, 1000);
  while (cudaStreamQuery(a) == cudaErrorNotReady) ASSERT_LT(++polls, 1000);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);  // "not ready" leaves no error behind
}

TEST_P(Runtime, CopiesOfEveryKind) {
  const int rows = 3, width = 5, pitch = 8;
  std::vector<int> image(rows * width);
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<int>(i) + 1;
  Buffer<int> padded(rows * pitch), flat(rows * width);
  const std::size_t row = width * sizeof(int), step = pitch * sizeof(int);
  CHECK_CUDA(cudaMemset2DAsync(padded.get(), step, 0, row, rows, a));
  CHECK_CUDA(cudaMemcpy2DAsync(padded.get(), step, image.data(), row, row, rows, cudaMemcpyHostToDevice, a));
  CHECK_CUDA(cudaMemcpy2DAsync(flat.get(), row, padded.get(), step, row, rows, cudaMemcpyDefault, a));
  CHECK_CUDA(cudaStreamSynchronize(a));
  EXPECT_EQ(flat.read(), image);
  EXPECT_EQ(padded.read()[width], -1);  // the padding is still poison
  CHECK_CUDA(cudaMemsetAsync(flat.get(), 0x11, row, a));
  CHECK_CUDA(cudaStreamSynchronize(a));
  EXPECT_EQ(flat.read()[width - 1], 0x11111111);

  EXPECT_EQ(cudaMemcpy(flat.get(), image.data(), 16 * row, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(flat.get(), image.data(), row, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(image.data(), 0, row), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_P(Runtime, StreamOrderedMemory) {
  const std::size_t before = simt::live_allocations(0);
  Buffer<float> x(filled(1));
  float *first = nullptr, host = 0;
  CHECK_CUDA(cudaMallocAsync(reinterpret_cast<void**>(&first), kCount * sizeof(float), a));
  CHECK_CUDA(cudaMemsetAsync(first, 0, kCount * sizeof(float), a));
  CHECK_CUDA(run_axpy(x.get(), first, 7, kCount, a));
  CHECK_CUDA(cudaMemcpyAsync(&host, first, sizeof host, cudaMemcpyDeviceToHost, a));
  CHECK_CUDA(cudaFreeAsync(first, a));
  CHECK_CUDA(cudaStreamSynchronize(a));
  EXPECT_EQ(host, 7);
  EXPECT_EQ(simt::live_allocations(0), before + 1);
}

TEST_P(Runtime, CaptureForkAndJoinReplaysWithFrozenScalars) {
  Buffer<float> x(filled(1)), y(filled(0)), z(filled(0));
  float factor = 1;
  CHECK_CUDA(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal));
  CHECK_CUDA(run_axpy(y.get(), x.get(), factor, kCount, a));  // x += y
  CHECK_CUDA(cudaEventRecord(event, a));
  CHECK_CUDA(cudaStreamWaitEvent(b, event, 0));
  CHECK_CUDA(run_axpy(x.get(), y.get(), factor, kCount, b));  // y += x
  CHECK_CUDA(cudaEventRecord(other, b));
  CHECK_CUDA(cudaStreamWaitEvent(a, other, 0));
  CHECK_CUDA(run_axpy(y.get(), z.get(), factor, kCount, a));  // z += y
  cudaGraph_t graph = nullptr;
  CHECK_CUDA(cudaStreamEndCapture(a, &graph));
  cudaGraphExec_t exec = nullptr;
  CHECK_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  EXPECT_EQ(first_of(z, a), 0);  // captured, not run
  factor = 100;
  for (int i = 0; i < 3; ++i) CHECK_CUDA(cudaGraphLaunch(exec, a));
  EXPECT_EQ(first_of(z, a), 1 + 3 + 8);

  // The same kernel with another scalar, set in the executable graph; then the old graph again.
  std::size_t count = 3;
  cudaGraphNode_t nodes[3];
  CHECK_CUDA(cudaGraphGetNodes(graph, nodes, &count));
  ASSERT_EQ(count, 3u);
  cudaKernelNodeParams params;
  CHECK_CUDA(cudaGraphKernelNodeGetParams(nodes[2], &params));
  float ten = 10;
  void* changed[] = {params.kernelParams[0], params.kernelParams[1], &ten, params.kernelParams[3]};
  params.kernelParams = changed;
  CHECK_CUDA(cudaGraphExecKernelNodeSetParams(exec, nodes[2], &params));
  CHECK_CUDA(cudaGraphLaunch(exec, a));
  EXPECT_EQ(first_of(z, a), 12 + 10 * 21);
  cudaGraphExecUpdateResultInfo info;
  CHECK_CUDA(cudaGraphExecUpdate(exec, graph, &info));
  CHECK_CUDA(cudaGraphLaunch(exec, a));
  EXPECT_EQ(first_of(z, a), 12 + 210 + 55);
  CHECK_CUDA(cudaGraphExecDestroy(exec));
  CHECK_CUDA(cudaGraphDestroy(graph));
}

TEST_P(Runtime, CaptureErrorsHaveTheirOwnCodes) {
  Buffer<float> x(filled(1)), y(filled(0));
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorIllegalState);
  const auto begin = [&] { require(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal)); };

  begin();  // a branch that never comes back
  CHECK_CUDA(cudaEventRecord(event, a));
  CHECK_CUDA(cudaStreamWaitEvent(b, event, 0));
  CHECK_CUDA(run_axpy(x.get(), y.get(), 1, kCount, b));
  EXPECT_EQ(cudaStreamEndCapture(b, &graph), cudaErrorStreamCaptureUnmatched);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);

  begin();
  CHECK_CUDA(cudaEventRecord(event, a));
  CHECK_CUDA(cudaStreamWaitEvent(b, event, 0));
  CHECK_CUDA(run_axpy(x.get(), y.get(), 1, kCount, b));
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureUnjoined);

  begin();  // calls that are not allowed meanwhile
  void* p = nullptr;
  EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(run_axpy(x.get(), y.get(), 1, kCount, a), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);
  begin();
  EXPECT_EQ(cudaStreamSynchronize(a), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);
  begin();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);
  begin();
  CHECK_CUDA(cudaEventRecord(event, a));
  EXPECT_EQ(cudaEventQuery(event), cudaErrorCapturedEvent);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);

  CHECK_CUDA(cudaEventRecord(event, b));  // an edge from outside
  begin();
  EXPECT_EQ(cudaStreamWaitEvent(a, event, 0), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);

  begin();  // another thread may not end it
  cudaError_t there = cudaSuccess;
  std::thread([&] { there = cudaStreamEndCapture(a, &graph); }).join();
  EXPECT_EQ(there, cudaErrorStreamCaptureWrongThread);
  CHECK_CUDA(cudaStreamEndCapture(a, &graph));
  CHECK_CUDA(cudaGraphDestroy(graph));

  cudaStream_t blocking = nullptr;  // the legacy stream would have to wait for it
  CHECK_CUDA(cudaStreamCreate(&blocking));
  CHECK_CUDA(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
  EXPECT_EQ(run_axpy(x.get(), y.get(), 1, kCount, nullptr), cudaErrorStreamCaptureImplicit);
  EXPECT_EQ(cudaStreamEndCapture(blocking, &graph), cudaErrorStreamCaptureInvalidated);
  CHECK_CUDA(cudaStreamDestroy(blocking));
}

TEST_P(Runtime, ConditionalNodesLoopOnTheDevice) {
  Buffer<int> counter(std::vector<int>{5}), sum(std::vector<int>{0});
  cudaGraph_t graph = nullptr;
  CHECK_CUDA(cudaGraphCreate(&graph, 0));
  cudaGraphConditionalHandle handle;
  CHECK_CUDA(cudaGraphConditionalHandleCreate(&handle, graph, 1, cudaGraphCondAssignDefault));
  cudaGraphNodeParams params{};
  params.type = cudaGraphNodeTypeConditional;
  params.conditional.handle = handle;
  params.conditional.type = cudaGraphCondTypeWhile;
  params.conditional.size = 1;
  cudaGraphNode_t node = nullptr;
  CHECK_CUDA(cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &params));
  CHECK_CUDA(cudaStreamBeginCaptureToGraph(a, params.conditional.phGraph_out[0], nullptr, nullptr, 0,
                                           cudaStreamCaptureModeRelaxed));
  CHECK_CUDA(run_count_down(counter.get(), sum.get(), handle, a));
  CHECK_CUDA(cudaStreamEndCapture(a, nullptr));
  cudaGraphExec_t exec = nullptr;
  CHECK_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  CHECK_CUDA(cudaGraphLaunch(exec, a));
  CHECK_CUDA(cudaStreamSynchronize(a));
  EXPECT_EQ(counter.read()[0], 0);
  EXPECT_EQ(sum.read()[0], 5 + 4 + 3 + 2 + 1);
  CHECK_CUDA(cudaGraphExecDestroy(exec));
  CHECK_CUDA(cudaGraphDestroy(graph));
}

TEST_P(Runtime, PeersAreDevicesOfTheirOwn) {
  int count = 0, can = 0;
  CHECK_CUDA(cudaGetDeviceCount(&count));
  EXPECT_EQ(count, 2);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  Buffer<float> here(filled(1)), to(filled(0));
  CHECK_CUDA(cudaSetDevice(1));
  EXPECT_EQ(run_axpy(here.get(), to.get(), 1, kCount, a),
            cudaErrorInvalidResourceHandle);  // a stream of device 0
  CHECK_CUDA(cudaDeviceCanAccessPeer(&can, 1, 0));
  EXPECT_EQ(can, 1);
  CHECK_CUDA(cudaDeviceEnablePeerAccess(0, 0));
  EXPECT_EQ(cudaDeviceEnablePeerAccess(0, 0), cudaErrorPeerAccessAlreadyEnabled);
  Buffer<float> there(filled(5));
  cudaStream_t stream = nullptr;
  CHECK_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  CHECK_CUDA(run_axpy(here.get(), there.get(), 2, kCount, stream));
  CHECK_CUDA(cudaMemcpyPeerAsync(to.get(), 0, there.get(), 1, kCount * sizeof(float), stream));
  CHECK_CUDA(cudaStreamSynchronize(stream));
  EXPECT_EQ(to.read()[9], 7);
  CHECK_CUDA(cudaStreamDestroy(stream));
  int device = -1;
  std::thread([&] { cudaGetDevice(&device); }).join();
  EXPECT_EQ(device, 0);  // the current device is each thread's own
}

TEST_P(Runtime, FailingKernelsAreReportedLateAndForGood) {
  Buffer<float> x(filled(1)), y(filled(0));
  EXPECT_EQ(run_trap(a), cudaSuccess);  // the launch itself is fine
  EXPECT_EQ(cudaStreamSynchronize(a), cudaErrorLaunchFailure);
  EXPECT_EQ(run_axpy(x.get(), y.get(), 1, kCount, a), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);  // does not go away
  EXPECT_NE(simt::last_report().find("trap"), std::string::npos) << simt::last_report();
  EXPECT_NE(simt::last_report().find("host_kernels.cu"), std::string::npos) << simt::last_report();
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);  // the other device lives
  CHECK_CUDA(cudaDeviceSynchronize());
}

TEST_P(Runtime, PlansOfFaultsInNvidiasFormat) {
  void* p = nullptr;
  simt::inject_faults(R"({"logLevel": 1, "dynamic": true, "cudaRuntimeFaults": {"cudaMalloc":
      {"percent": 100, "injectionType": 2, "substituteReturnCode": 2, "interceptionCount": 1, "skip": 2}}})");
  for (const cudaError_t want : {cudaSuccess, cudaSuccess, cudaErrorMemoryAllocation, cudaSuccess}) {
    EXPECT_EQ(cudaMalloc(&p, 16), want);
    if (want == cudaSuccess) cudaFree(p);
  }
  // What releases does so and then reports.
  const std::size_t live = simt::live_allocations(0);
  simt::inject_faults(R"({"cudaRuntimeFaults": {"cudaFree":
      {"injectionType": 2, "substituteReturnCode": 999, "interceptionCount": 1}}})");
  CHECK_CUDA(cudaMalloc(&p, 16));
  EXPECT_EQ(cudaFree(p), cudaErrorUnknown);
  EXPECT_EQ(simt::live_allocations(0), live);
  simt::inject_faults(R"({"cudaRuntimeFaults": {"cudaLaunchKernel_ptsz": {"injectionType": 1}}})");
  Buffer<float> x(filled(1)), y(filled(0));
  EXPECT_EQ(run_axpy(x.get(), y.get(), 1, kCount, a), cudaErrorAssert);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorAssert);
  EXPECT_THROW(simt::inject_faults("{"), std::invalid_argument);
  EXPECT_THROW(simt::inject_faults(R"({"cudaRuntimeFaults": {"cudaFree": {"injectionType": 7}}})"),
               std::invalid_argument);
}

TEST_P(Runtime, LaunchesBeyondTheLimitsAreRefused) {
  Buffer<float> x(filled(1)), y(filled(0));
  const auto shaped = [&](dim3 grid, dim3 block, std::size_t bytes) {
    return run_shaped(x.get(), grid, block, bytes, a);
  };
  EXPECT_EQ(shaped(0, 32, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(shaped(dim3(1, 65536), 32, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(shaped(1, 1025, 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(shaped(1, dim3(1, 1, 65), 0), cudaErrorInvalidConfiguration);
  EXPECT_EQ(shaped(1, 32, 48 * 1024 + 1), cudaErrorInvalidValue);
  EXPECT_NE(simt::last_report().find("49153 bytes of dynamic shared memory"), std::string::npos);
  EXPECT_NE(simt::last_report().find("launch.hpp"), std::string::npos) << simt::last_report();
  CHECK_CUDA(allow_dynamic_bytes(227 * 1024));
  CHECK_CUDA(shaped(1, 32, 227 * 1024));
  EXPECT_EQ(allow_dynamic_bytes(227 * 1024 + 1), cudaErrorInvalidValue);  // sm_90's limit
#if defined(__GNUC__) && !defined(__clang__)
  EXPECT_EQ(run_bounded(64, a), cudaSuccess);
  EXPECT_EQ(run_bounded(65, a), cudaErrorLaunchOutOfResources);  // __launch_bounds__(64)
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_EQ(run_too_much_static(a), cudaErrorInvalidValue);
  EXPECT_NE(simt::last_report().find("static shared memory"), std::string::npos) << simt::last_report();
#endif
#endif
  CHECK_CUDA(cudaDeviceSynchronize());
}

TEST_P(Runtime, OccupancyFollowsRegistersAndShared) {
  int blocks = 0;
  CHECK_CUDA(occupancy_of_shaped(&blocks, 256, 0, 80));
  EXPECT_EQ(blocks, 3);  // 80 registers, 256 threads, sm_90
  CHECK_CUDA(occupancy_of_shaped(&blocks, 256, 40 * 1024, 32));
  EXPECT_EQ(blocks, 5);  // 228 KB by 41 KB
  CHECK_CUDA(occupancy_of_shaped(&blocks, 1024, 0, 64));
  EXPECT_EQ(blocks, 1);
}

TEST_P(Runtime, ThreadsMayUseItAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&right, t] {
      const float scale = static_cast<float>(t + 1);
      cudaStream_t stream = nullptr;
      require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
      Buffer<float> x(filled(scale)), y(filled(0));
      float got = 0;
      for (int i = 0; i < 5; ++i) require(run_axpy(x.get(), y.get(), 1, kCount, stream));
      require(cudaMemcpyAsync(&got, y.get(), sizeof got, cudaMemcpyDeviceToHost, stream));
      require(cudaStreamSynchronize(stream));
      right += got == 5 * scale;
      require(cudaStreamDestroy(stream));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 4);
}

TEST(Device, NoneAtAll) {
  simt::Options o;
  o.devices = 0;
  simt::set_options(o);
  int count = -1;
  void* p = nullptr;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(count, 0);
  EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorNoDevice);
  EXPECT_EQ(cudaSetDevice(0), cudaErrorNoDevice);
  simt::set_options(simt::Options::from_environment());
  cudaGetLastError();
}

TEST(Device, PropertiesAreThoseOfTheChosenArchitecture) {
  struct Want {
    int architecture, optin, multiprocessors;
  };
  for (const Want want :
       {Want{75, 65536, 40}, Want{80, 166912, 108}, Want{90, 232448, 132}, Want{120, 101376, 170}}) {
    simt::Options o;
    o.architecture = want.architecture;
    simt::set_options(o);
    cudaDeviceProp p;
    CHECK_CUDA(cudaGetDeviceProperties(&p, 0));
    EXPECT_EQ(p.major * 10 + p.minor, want.architecture);
    EXPECT_EQ(p.sharedMemPerBlockOptin, static_cast<std::size_t>(want.optin));
    int count = 0;
    CHECK_CUDA(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, 0));
    EXPECT_EQ(count, want.multiprocessors);
  }
  simt::set_options(simt::Options::from_environment());
}

TEST(Device, MemoryEnds) {
  simt::Options o;
  o.device_memory = 1 << 20;
  simt::set_options(o);
  void *p = nullptr, *q = nullptr;
  CHECK_CUDA(cudaMalloc(&p, 900 << 10));
  EXPECT_EQ(cudaMalloc(&q, 200 << 10), cudaErrorMemoryAllocation);
  o.device_memory = 100 << 10;  // less than is used already
  simt::set_options(o);
  EXPECT_EQ(cudaMalloc(&q, 1), cudaErrorMemoryAllocation);
  std::size_t free = 1, total = 0;
  CHECK_CUDA(cudaMemGetInfo(&free, &total));
  EXPECT_EQ(free, 0u);
  o.device_memory = 1 << 20;
  simt::set_options(o);
  CHECK_CUDA(cudaFree(p));
  CHECK_CUDA(cudaMalloc(&q, 200 << 10));
  CHECK_CUDA(cudaFree(q));
  simt::set_options(simt::Options::from_environment());
  cudaGetLastError();
}

// The same seed gives the same report, word for word; another seed may not.
TEST(Seeds, SameSeedSameReport) {
  const auto report = [](std::uint64_t seed) {
    simt::Options o;
    o.order = simt::Order::random;
    o.on_fault = simt::OnFault::error;
    o.seed = seed;
    simt::set_options(o);
    require(run_first_to_fail(nullptr));
    cudaDeviceSynchronize();
    std::string text = simt::last_report();
    cudaDeviceReset();
    cudaGetLastError();
    return text;
  };
  std::set<std::string> different;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const std::string first = report(seed);
    EXPECT_NE(first.find("simt: "), std::string::npos);
    EXPECT_EQ(report(seed), first);
    different.insert(first);
  }
  EXPECT_GT(different.size(), 3u);
  simt::set_options(simt::Options::from_environment());
}

}  // namespace
}  // namespace simt_suite
