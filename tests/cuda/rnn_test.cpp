// cuDNN's RNN behind its seam, answered by the stand-in: each of the library's rules broken on purpose, to
// see that the stand-in notices. Numbers are compared in recurrent_op_test.cpp.
#include <gtest/gtest.h>

#include <cmath>

#include "simt/libraries.hpp"
#include "simt/simt.hpp"
#include "src/cuda/libraries/cudnn_graph.hpp"
#include "src/cuda/libraries/rnn.hpp"
#include "src/cuda/memory.hpp"
#include "tests/cuda/device_memory.hpp"

namespace gpunn::cuda {
namespace {

class RnnRules : public ::testing::Test {
 protected:
  static constexpr std::int64_t kBatch = 2, kSteps = 3, kInput = 4, kUnits = 5;
  static constexpr std::size_t kRoom = 1 << 16;

  RnnRules() {
    simt::Options options = simt::options();
    options.on_fault = simt::OnFault::error;
    options.streams = simt::Streams::lazy;
    simt::set_options(options);
    target.ordinal = 0;
    check(cudaMalloc(reinterpret_cast<void**>(&lengths), kBatch * sizeof(std::int32_t)));
    set_lengths(kSteps);
    f.x = x.data(), f.h0 = h0.data(), f.weights = weights.data(), f.y = y.data(), f.h_last = h.data();
    b.x = f.x, b.h0 = f.h0, b.weights = f.weights, b.y = f.y, b.dy = dy.data(), b.dh_last = h0.data();
    b.dx = dx.data(), b.dh0 = dh0.data(), b.dweights = dweights.data();
  }
  ~RnnRules() override {
    static_cast<void>(cudaFree(lengths));
    simt::set_options(simt::Options::from_environment());
  }

  void set_lengths(std::int32_t steps) {
    const std::int32_t all[kBatch] = {static_cast<std::int32_t>(kSteps), steps};
    check(cudaMemcpy(lengths, all, sizeof all, cudaMemcpyHostToDevice));
  }
  RnnPlan plan() {
    const auto sizes = find_rnn(target, rnn, why);
    EXPECT_TRUE(sizes) << why;
    EXPECT_TRUE(sizes->asked);
    const auto made = RnnPlan::bind(handle.get(), rnn, *sizes, lengths, weights.data(), why);
    EXPECT_TRUE(made) << why;
    return *made;
  }
  void forward(const RnnPlan& made) { made.forward(stream.get(), f, workspace.data(), reserve.data()); }
  void backward(const RnnPlan& made) { made.backward(stream.get(), b, workspace.data(), reserve.data()); }

  // Broken where the library looks: the call returns its code.
  template <class Run>
  void expect_refused(Run run, const char* reason) {
    EXPECT_THROW(run(), DeviceError);
    EXPECT_NE(simt::last_report().find(reason), std::string::npos) << simt::last_report();
  }
  // Broken where nobody looks before the work runs.
  template <class Run>
  void expect_report(Run run, const char* reason) {
    EXPECT_NO_THROW(run());
    static_cast<void>(cudaStreamSynchronize(stream.get()));
    EXPECT_NE(simt::last_report().find(reason), std::string::npos) << simt::last_report();
  }

  Target target;
  Rnn rnn{.cell = RnnCell::gru,
          .batch = kBatch,
          .steps = kSteps,
          .input = kInput,
          .units = kUnits,
          .bias = true,
          .training = true};
  std::string why;
  Handle<cudnnHandle_t, &cudnnDestroy> handle = make_handle<Cudnn>(cudnnCreate);
  Stream stream = make_stream();
  std::int32_t* lengths = nullptr;
  DeviceFloats x{noise(kBatch * kSteps * kInput, 1)}, h0{noise(kBatch * kUnits, 2)},
      weights{std::vector<float>(kRoom)}, y{std::vector<float>(kBatch * kSteps * kUnits)},
      h{std::vector<float>(kBatch * kUnits)}, dy{noise(kBatch * kSteps * kUnits, 3)},
      dx{std::vector<float>(kBatch * kSteps * kInput)}, dh0{std::vector<float>(kBatch * kUnits)},
      dweights{std::vector<float>(kRoom)}, workspace{std::vector<float>(kRoom)},
      reserve{std::vector<float>(kRoom)};
  RnnForward f;
  RnnBackward b;
};

TEST_F(RnnRules, ARightCallRaisesNoAlarm) {
  const std::size_t before = simt::report_count();
  const RnnPlan made = plan();
  forward(made), backward(made);
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  EXPECT_EQ(simt::report_count(), before) << simt::last_report();
}

TEST_F(RnnRules, ObjectsAreReleased) {
  const long before = simt::live_library_objects();
  { const RnnPlan made = plan(); }
  EXPECT_EQ(simt::live_library_objects(), before);
}

TEST_F(RnnRules, BackwardNeedsTheReserveOfItsForward) {
  const RnnPlan made = plan();
  expect_report([&] { backward(made); }, "not this layer's");
}

TEST_F(RnnRules, TheReserveIsUsedUp) {
  const RnnPlan made = plan();
  forward(made), backward(made);
  expect_report([&] { backward(made); }, "not as forward left it");
}

TEST_F(RnnRules, BackwardSeesWhatForwardSaw) {
  const RnnPlan made = plan();
  forward(made);
  b.h0 = dh0.data(), b.dh0 = nullptr;
  expect_report([&] { backward(made); }, "not as forward left it");
}

TEST_F(RnnRules, LengthsOnTheDeviceAreThoseOfTheDescriptor) {
  const RnnPlan made = plan();
  set_lengths(static_cast<std::int32_t>(kSteps) - 1);
  expect_report([&] { forward(made); }, "others than in the descriptor");
}

TEST_F(RnnRules, SpacesAreThere) {
  const RnnPlan made = plan();
  expect_refused([&] { made.forward(stream.get(), f, nullptr, reserve.data()); }, "workspace is missing");
  expect_refused([&] { made.forward(stream.get(), f, workspace.data(), nullptr); }, "reserve is missing");
  f.weights = nullptr;
  expect_refused([&] { forward(made); }, "weight space is missing");
}

TEST_F(RnnRules, ResultsDoNotOverlap) {
  const RnnPlan made = plan();
  f.y = reserve.data();
  expect_refused([&] { forward(made); }, "overlaps");
  f.y = reserve.data() + 8;
  expect_refused([&] { forward(made); }, "overlaps");
}

TEST_F(RnnRules, TheSequencesAndTheirGradientAreGiven) {
  const RnnPlan made = plan();
  forward(made);
  b.dy = nullptr;
  expect_refused([&] { backward(made); }, "must be given");
}

TEST_F(RnnRules, CallsGoToAStreamOfOurs) {
  const RnnPlan made = plan();
  expect_refused([&] { made.forward(nullptr, f, workspace.data(), reserve.data()); }, "legacy stream");
}

TEST_F(RnnRules, TheFirstCallIsNotCaptured) {
  const RnnPlan made = plan();
  const auto captured = [&] {
    check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph{};
    try {
      forward(made);
    } catch (...) {
      static_cast<void>(cudaStreamEndCapture(stream.get(), &graph));
      if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
      throw;
    }
    check(cudaStreamEndCapture(stream.get(), &graph));
    check(cudaGraphDestroy(graph));
  };
  expect_refused(captured, "not while a stream is captured");
  forward(made);
  EXPECT_NO_THROW(captured());
}

TEST_F(RnnRules, MemoryStaysUntilTheWorkHasRun) {
  const RnnPlan made = plan();
  forward(made);
  void* own = nullptr;
  check(cudaMalloc(&own, kBatch * kSteps * kUnits * sizeof(float)));
  f.y = static_cast<float*>(own);
  check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
  forward(made);
  cudaGraph_t graph{};
  check(cudaStreamEndCapture(stream.get(), &graph));
  cudaGraphExec_t exec{};
  check(cudaGraphInstantiate(&exec, graph, 0));
  check(cudaFree(own));
  static_cast<void>(cudaGraphLaunch(exec, stream.get()));
  static_cast<void>(cudaStreamSynchronize(stream.get()));
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  static_cast<void>(cudaGraphExecDestroy(exec)), static_cast<void>(cudaGraphDestroy(graph));
}

TEST_F(RnnRules, TheNetworkIsWhole) {
  cudnnRNNDescriptor_t network{};
  cudnnDropoutDescriptor_t dropout{};
  check(cudnnCreateRNNDescriptor(&network)), check(cudnnCreateDropoutDescriptor(&dropout));
  const auto describe = [&](cudnnMathType_t math, std::uint32_t flags) {
    check(cudnnSetRNNDescriptor_v8(network, CUDNN_RNN_ALGO_STANDARD, CUDNN_GRU, CUDNN_RNN_DOUBLE_BIAS,
                                   CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, CUDNN_DATA_FLOAT,
                                   CUDNN_DATA_FLOAT, math, 4, 5, 5, 1, dropout, flags));
  };
  constexpr std::uint32_t kPadded = CUDNN_RNN_PADDED_IO_ENABLED;
  expect_refused([&] { describe(CUDNN_FMA_MATH, kPadded); }, "the dropout is not set");
  check(cudnnSetDropoutDescriptor(dropout, handle.get(), 0, nullptr, 0, 0));
  expect_refused([&] { describe(CUDNN_FMA_MATH, CUDNN_RNN_PADDED_IO_DISABLED); }, "need padded");
  expect_refused([&] { describe(CUDNN_DEFAULT_MATH, kPadded); }, "rounds as it likes");
  std::size_t bytes = 0;
  expect_refused([&] { check(cudnnGetRNNWeightSpaceSize(handle.get(), network, &bytes)); }, "not described");
  describe(CUDNN_FMA_MATH, kPadded);
  EXPECT_NO_THROW(check(cudnnGetRNNWeightSpaceSize(handle.get(), network, &bytes)));
  check(cudnnDestroyDropoutDescriptor(dropout));
  expect_refused([&] { check(cudnnGetRNNWeightSpaceSize(handle.get(), network, &bytes)); }, "must outlive");
  check(cudnnDestroyRNNDescriptor(network));
}

TEST_F(RnnRules, Tf32IsRoundedAndStrictFloatIsNot) {
  const auto result = [&] {
    const std::vector<float> values = noise(static_cast<std::int64_t>(kRoom), 7);
    check(cudaMemcpy(weights.data(), values.data(), kRoom * sizeof(float), cudaMemcpyHostToDevice));
    forward(plan());
    check(cudaStreamSynchronize(stream.get()));
    return y.read();
  };
  const std::vector<float> strict = result();
  rnn.tf32 = true;
  const std::vector<float> rounded = result();
  double most = 0;
  for (std::size_t i = 0; i < strict.size(); ++i)
    most = std::max(most, static_cast<double>(std::abs(strict[i] - rounded[i])));
  EXPECT_GT(most, 1e-6);
  EXPECT_LT(most, 1e-2);
}

TEST_F(RnnRules, WhatCudnnRefusesHasAReason) {
  rnn.units = 6;  // not asked before
  simt::set_cudnn_heuristic(simt::Heuristic::unsupported);
  EXPECT_FALSE(find_rnn(target, rnn, why));
  EXPECT_NE(why.find("NOT_SUPPORTED"), std::string::npos) << why;
  simt::set_cudnn_heuristic(simt::Heuristic::normal);
  rnn.steps = 0;
  EXPECT_FALSE(find_rnn(target, rnn, why));
  EXPECT_EQ(why, "empty");
}

TEST_F(RnnRules, ADeviceThatIsNotThereHasABound) {
  const auto there = find_rnn(target, rnn, why);
  target.ordinal = -1;
  const auto described = find_rnn(target, rnn, why);
  ASSERT_TRUE(there && described);
  EXPECT_FALSE(described->asked);
  EXPECT_GE(described->weights, there->weights);
}

}  // namespace
}  // namespace gpunn::cuda
