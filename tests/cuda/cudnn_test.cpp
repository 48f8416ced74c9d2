// Convolutions through our builder of cuDNN graphs, answered by the stand-in: numbers against double; and
// each of the library's rules broken on purpose, to see that the stand-in notices.
#include <gtest/gtest.h>

#include <cmath>

#include "simt/libraries.hpp"
#include "simt/simt.hpp"
#include "src/cuda/libraries/cudnn_convolution.hpp"
#include "tests/cuda/captured.hpp"
#include "tests/cuda/device_memory.hpp"

namespace gpunn::cuda {
namespace {

using kernels::Accumulate;
using kernels::ConvGeometry;

const ConvGeometry kGeometries[] = {
    {.batch = 2, .in = 3, .out = 5, .height = {7, 5, 3}, .width = {6, 4, 3}},
    {.batch = 1, .in = 8, .out = 4, .groups = 2, .height = {9, 5, 3, 2, 1}, .width = {8, 4, 3, 2, 1}},
    {.batch = 3, .in = 2, .out = 2, .height = {9, 5, 3, 1, 0, 2}, .width = {5, 5, 1}},
    {.batch = 1, .in = 1, .out = 1, .height = {1, 1, 1}, .width = {1, 1, 1}},
    // "same" padding of an even image by stride 2: one row more behind than in front.
    {.batch = 1, .in = 2, .out = 3, .height = {6, 3, 3, 2, 0}, .width = {6, 3, 3, 2, 0}},
};

// Calls f(x, w, y) with the indexes of every product.
template <class F>
void for_each_product(const ConvGeometry& g, F f) {
  for (std::int64_t n = 0; n < g.batch; ++n)
    for (std::int64_t i = 0; i < g.height.out; ++i)
      for (std::int64_t j = 0; j < g.width.out; ++j)
        for (std::int64_t r = 0; r < g.height.kernel; ++r)
          for (std::int64_t s = 0; s < g.width.kernel; ++s) {
            const std::int64_t h = i * g.height.stride - g.height.padding + r * g.height.dilation;
            const std::int64_t v = j * g.width.stride - g.width.padding + s * g.width.dilation;
            if (h < 0 || h >= g.height.in || v < 0 || v >= g.width.in) continue;
            for (std::int64_t k = 0; k < g.out; ++k)
              for (std::int64_t c = 0; c < g.group_in(); ++c) {
                const std::int64_t channel = k / g.group_out() * g.group_in() + c;
                f(static_cast<std::size_t>(((n * g.height.in + h) * g.width.in + v) * g.in + channel),
                  static_cast<std::size_t>(((r * g.width.kernel + s) * g.group_in() + c) * g.out + k),
                  static_cast<std::size_t>(((n * g.height.out + i) * g.width.out + j) * g.out + k));
              }
          }
}

struct Tensors {
  std::vector<float> x, w, y, bias;
  explicit Tensors(const ConvGeometry& g)
      : x(noise(g.x_pixels() * g.in, 1)),
        w(noise(g.taps() * g.out, 2)),
        y(noise(g.y_pixels() * g.out, 3)),
        bias(noise(g.out, 4)) {}
  std::vector<float>& result(ConvolutionPass pass) {
    return pass == ConvolutionPass::forward ? y : pass == ConvolutionPass::backward_data ? x : w;
  }
};

std::vector<double> reference(const Convolution& c, const Tensors& t) {
  Tensors shape = t;
  std::vector<double> result(shape.result(c.pass).size());
  for_each_product(c.geometry, [&](std::size_t x, std::size_t w, std::size_t y) {
    if (c.pass == ConvolutionPass::forward) result[y] += double{t.x[x]} * t.w[w];
    if (c.pass == ConvolutionPass::backward_data) result[x] += double{t.y[y]} * t.w[w];
    if (c.pass == ConvolutionPass::backward_weights) result[w] += double{t.x[x]} * t.y[y];
  });
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (c.bias) result[i] += t.bias[i % t.bias.size()];
    if (c.relu) result[i] = std::max(result[i], 0.0);
    if (c.mode == Accumulate::add) result[i] += shape.result(c.pass)[i];
  }
  return result;
}

struct Done {
  std::vector<float> result;
  std::int64_t engine = -1;
  std::string why;
};

Done run(const Convolution& c, Tensors t, bool deterministic = true, std::size_t shift = 0) {
  constexpr std::size_t kWorkspace = 1 << 20;
  if (c.mode == Accumulate::overwrite) {
    for (float& v : t.result(c.pass)) v = std::nanf("");
  }
  const DeviceFloats x(t.x, shift), w(t.w), y(t.y), bias(t.bias);
  const DeviceFloats workspace(std::vector<float>(kWorkspace / sizeof(float)));
  const Stream stream = make_stream();
  const auto handle = make_handle<Cudnn>(cudnnCreate);
  Done done;
  const auto plan = ConvolutionPlan::bind(handle.get(), c, {x.data(), w.data(), y.data(), bias.data()},
                                          deterministic, workspace.data(), kWorkspace, done.why);
  if (!plan) return done;
  done.engine = plan->engine().number;
  plan->run(stream.get());
  check(cudaStreamSynchronize(stream.get()));
  done.result = (c.pass == ConvolutionPass::forward         ? y
                 : c.pass == ConvolutionPass::backward_data ? x
                                                            : w)
                    .read();
  return done;
}

void expect_close(const std::vector<float>& got, const std::vector<double>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], tolerance * (1 + std::abs(want[i])));
}

TEST(CudnnConvolution, EveryPassGeometryAndEpilogueIsTheConvolution) {
  const std::size_t reports = simt::report_count();
  for (const ConvGeometry& g : kGeometries) {
    const Tensors t(g);
    for (const auto pass :
         {ConvolutionPass::forward, ConvolutionPass::backward_data, ConvolutionPass::backward_weights}) {
      for (const auto mode : {Accumulate::overwrite, Accumulate::add}) {
        const Convolution c{.geometry = g, .pass = pass, .mode = mode};
        const Done done = run(c, t);
        EXPECT_EQ(done.engine, 70) << "the first that keeps every rule";
        expect_close(done.result, reference(c, t), 1e-5);
      }
    }
    for (const auto& [bias, relu] : {std::pair{true, false}, {true, true}, {false, true}}) {
      const Convolution c{.geometry = g, .bias = bias, .relu = relu};
      expect_close(run(c, t).result, reference(c, t), 1e-5);
    }
  }
  EXPECT_EQ(simt::report_count(), reports) << simt::last_report();
  EXPECT_EQ(simt::live_library_objects(), 0);
}

TEST(CudnnConvolution, ReluPassesNanOn) {
  Tensors t(kGeometries[0]);
  t.x[0] = std::nanf("");
  const Done done = run({.geometry = kGeometries[0], .bias = true, .relu = true}, t);
  ASSERT_FALSE(done.result.empty()) << done.why;
  EXPECT_TRUE(std::any_of(done.result.begin(), done.result.end(), [](float y) { return std::isnan(y); }));
}

TEST(CudnnConvolution, TheRulesKeepTheNumbersWhatTheyAre) {
  const Tensors t(kGeometries[0]);
  Convolution c{.geometry = kGeometries[0], .pass = ConvolutionPass::backward_weights};
  const Done strict = run(c, t);
  // Not deterministic when opted out of: another result each time.
  EXPECT_EQ(run(c, t, false).engine, 25);
  EXPECT_NE(run(c, t, false).result, run(c, t, false).result);
  EXPECT_EQ(run(c, t).result, strict.result);
  // TF32 when asked for: visibly rounded.
  c.type = ConvolutionType::tf32;
  const Done rounded = run(c, t);
  EXPECT_EQ(rounded.engine, 36);
  double worst = 0;
  for (std::size_t i = 0; i < strict.result.size(); ++i)
    worst = std::max(worst, std::abs(double{strict.result[i]} - double{rounded.result[i]}));
  EXPECT_GT(worst, 1e-5);
}

TEST(CudnnConvolution, TheFallbackListIsAskedAndNoEngineIsAnAnswer) {
  const Convolution c{.geometry = kGeometries[0]};
  const Tensors t(kGeometries[0]);
  simt::set_cudnn_heuristic(simt::Heuristic::nothing);
  EXPECT_EQ(run(c, t).engine, 0) << "list A is empty";
  for (const auto answer : {simt::Heuristic::unsupported, simt::Heuristic::not_running}) {
    simt::set_cudnn_heuristic(answer);
    const Done none = run(c, t);
    EXPECT_EQ(none.engine, -1);
    EXPECT_NE(none.why.find("no engine"), std::string::npos) << none.why;
  }
  simt::set_cudnn_heuristic(simt::Heuristic::normal);
}

TEST(CudnnConvolution, NoEngineTakesMoreWorkspaceThanWasBooked) {
  const Tensors t(kGeometries[0]);
  const DeviceFloats x(t.x), w(t.w), y(t.y);
  const auto handle = make_handle<Cudnn>(cudnnCreate);
  std::string why;
  const auto plan = ConvolutionPlan::bind(handle.get(), {.geometry = kGeometries[0]},
                                          {x.data(), w.data(), y.data(), nullptr}, true, nullptr, 0, why);
  ASSERT_TRUE(plan) << why;
  EXPECT_EQ(plan->engine().number, 1) << "70 needs some";
}

TEST(CudnnConvolution, OddAddressesAreRefusedBeforeAnythingRuns) {
  const Done odd = run({.geometry = kGeometries[0]}, Tensors(kGeometries[0]), true, 1);
  EXPECT_EQ(odd.engine, -1);
  EXPECT_NE(odd.why.find("16 bytes"), std::string::npos);
}

TEST(CudnnConvolution, TwoReleasesOfHeadersAndLibraryAreRefusedNamingBoth) {
  simt::set_cudnn_version(90100);
  try {
    check_cudnn_version();
    ADD_FAILURE() << "9.1 is not what this was built with";
  } catch (const DeviceError& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find("90100"), std::string::npos) << what;
    EXPECT_NE(what.find(std::to_string(CUDNN_VERSION)), std::string::npos) << what;
  }
  simt::set_cudnn_version(0);
  EXPECT_NO_THROW(check_cudnn_version());
}

// ---- the stand-in's own rules ---------------------------------------------------------------------

// What is right, as a base: a test changes one thing.
class CudnnRules : public ::testing::Test {
 protected:
  void SetUp() override {
    simt::Options options = simt::options();
    options.on_fault = simt::OnFault::error;
    options.streams = simt::Streams::lazy;
    simt::set_options(options);
    check(cudnnCreate(&handle));
    check(cudnnSetStream(handle, stream.get()));
  }
  void TearDown() override {
    static_cast<void>(cudnnDestroy(handle));
    static_cast<void>(cudaDeviceReset());
    simt::set_options(simt::Options::from_environment());
  }

  Descriptor tensor(std::int64_t id, std::vector<std::int64_t> dims, std::vector<std::int64_t> strides,
                    bool is_virtual = false) {
    Descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, dims)
        .set(CUDNN_ATTR_TENSOR_STRIDES, strides)
        .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16});
    if (is_virtual) t.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
    return t;
  }
  static Descriptor convolution(std::int64_t padding = 0) {
    using List = std::vector<std::int64_t>;
    Descriptor c(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    c.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, mode)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2})
        .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, List{padding, padding})
        .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, List{0, 0})
        .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, List{1, 1})
        .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, List{1, 1});
    return c;
  }
  // x [1, 2, 4, 4], w [3, 2, 3, 3], y [1, 3, 2, 2], channels last.
  Descriptor x() { return tensor(1, {1, 2, 4, 4}, {32, 1, 8, 2}); }
  Descriptor w() { return tensor(2, {3, 2, 3, 3}, {18, 1, 6, 2}); }
  Descriptor y(bool is_virtual = false) { return tensor(y_id, {1, 3, 2, 2}, {12, 1, 6, 3}, is_virtual); }

  Descriptor operation(Descriptor result, std::int64_t padding = 0) {
    Descriptor from = x(), by = w(), how = convolution(padding);
    from.finalize(), by.finalize(), how.finalize(), result.finalize();
    Descriptor op(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, from)
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, by)
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, result)
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, how)
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0f)
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0f);
    return op;
  }
  EnginePlan plan(const CudnnDevice& device) {
    std::vector<Descriptor> operations;
    operations.push_back(std::move(operation(y()).finalize()));
    return plan_engine(device, operations, {});
  }
  EnginePlan plan() { return plan(CudnnDevice(handle)); }
  Descriptor pack() {
    return variant_pack({1, 2, 3}, {memory.data(), memory.data() + 64, memory.data() + 128},
                        memory.data() + 256);
  }

  template <class Run>
  void expect_refused(Run run, const char* why) {
    EXPECT_THROW(run(), DeviceError);
    EXPECT_NE(simt::last_report().find(why), std::string::npos) << simt::last_report();
  }
  void expect_fault(const Descriptor& wrong, cudaError_t error, const char* why) {
    const EnginePlan made = plan();
    EXPECT_NO_THROW(execute(handle, stream.get(), made, wrong));
    EXPECT_EQ(cudaStreamSynchronize(stream.get()), error);
    EXPECT_NE(simt::last_report().find(why), std::string::npos) << simt::last_report();
  }

  static inline cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  std::int64_t y_id = 3;
  cudnnHandle_t handle{};
  Stream stream = make_stream();
  DeviceFloats memory{std::vector<float>(1024)};
};

TEST_F(CudnnRules, ARightExecutionRaisesNoAlarm) {
  const std::size_t before = simt::report_count();
  const EnginePlan made = plan();
  const Descriptor pointers = pack();
  EXPECT_NO_THROW(execute(handle, stream.get(), made, pointers));
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  EXPECT_EQ(simt::report_count(), before) << simt::last_report();
}

TEST_F(CudnnRules, ATensorSaysAllOfItself) {
  Descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_DATA_FLOAT);
  expect_refused([&] { t.finalize(); }, "is not set");
}

TEST_F(CudnnRules, StridesGiveEveryElementItsOwnAddress) {
  Descriptor t = tensor(1, {1, 2, 4, 4}, {32, 1, 4, 2});
  expect_refused([&] { t.finalize(); }, "share an address");
}

TEST_F(CudnnRules, NothingIsSetTwiceNorReadBeforeItIsFinal) {
  Descriptor t = x();
  t.finalize();
  expect_refused([&] { t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, std::int64_t{9}); }, "finalized already");
  Descriptor op(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  const Descriptor open = x();
  expect_refused([&] { op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, open); }, "not finalized");
}

TEST_F(CudnnRules, AttributesHaveTheirDescriptorTypeAndCount) {
  Descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  expect_refused([&] { t.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_ADD); }, "no such attribute");
  expect_refused([&] { t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, 1.0f); }, "another type");
  expect_refused(
      [&] {
        t.set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::vector<std::int64_t>{1, 2});
      },
      "number of values");
}

TEST_F(CudnnRules, ShapesFollowFromPaddingAndKernel) {
  expect_refused([&] { operation(y(), 1).finalize(); }, "places along an axis");
}

TEST_F(CudnnRules, TheKernelIsNotTurnedRound) {
  mode = CUDNN_CONVOLUTION;
  expect_refused([&] { convolution().finalize(); }, "cross correlation");
  mode = CUDNN_CROSS_CORRELATION;
}

TEST_F(CudnnRules, ResultsOfAGraphAreNotVirtualAndIdsAreUnique) {
  std::vector<Descriptor> operations;
  operations.push_back(std::move(operation(y(true)).finalize()));
  expect_refused([&] { plan_engine(CudnnDevice(handle), operations, {}); }, "virtual");
  y_id = 1;
  operations.clear();
  operations.push_back(std::move(operation(y()).finalize()));
  expect_refused([&] { plan_engine(CudnnDevice(handle), operations, {}); }, "one id");
}

TEST_F(CudnnRules, PlansForADescribedDeviceDoNotRun) {
  const EnginePlan made = plan(CudnnDevice(std::string_view("{}")));
  const Descriptor pointers = pack();
  expect_refused([&] { execute(handle, stream.get(), made, pointers); }, "described device");
}

TEST_F(CudnnRules, PlansBelongToTheirHandle) {
  const EnginePlan made = plan();
  const Descriptor pointers = pack();
  const auto other = make_handle<Cudnn>(cudnnCreate);
  expect_refused([&] { execute(other.get(), stream.get(), made, pointers); }, "another handle");
}

TEST_F(CudnnRules, TheVariantPackNamesEveryTensorOnce) {
  const EnginePlan made = plan();
  float* p = memory.data();
  const Descriptor few = variant_pack({1, 2}, {p, p + 64}, p + 256);
  expect_refused([&] { execute(handle, stream.get(), made, few); }, "lacks tensor 3");
  const Descriptor many = variant_pack({1, 2, 3, 4}, {p, p + 64, p + 128, p + 192}, p + 256);
  expect_refused([&] { execute(handle, stream.get(), made, many); }, "the graph lacks");
  expect_refused([&] { variant_pack({1, 1, 3}, {p, p + 64, p + 128}, p + 256); }, "named twice");
  expect_refused([&] { variant_pack({1, 2, 3}, {p, p + 64}, p + 256); }, "as many pointers");
}

TEST_F(CudnnRules, TheWorkspaceIsGivenAndNotPartOfTheResult) {
  const EnginePlan made = plan();
  ASSERT_GT(made.workspace, 0);
  float* p = memory.data();
  const Descriptor none = variant_pack({1, 2, 3}, {p, p + 64, p + 128}, nullptr);
  expect_refused([&] { execute(handle, stream.get(), made, none); }, "needs its workspace");
  const Descriptor shared = variant_pack({1, 2, 3}, {p, p + 64, p + 128}, p + 132);
  expect_refused([&] { execute(handle, stream.get(), made, shared); }, "overlaps the result");
}

TEST_F(CudnnRules, OperandsMayNotOverlapTheResult) {
  const EnginePlan made = plan();
  float* p = memory.data();
  const Descriptor shared = variant_pack({1, 2, 3}, {p + 124, p + 64, p + 128}, p + 256);
  expect_refused([&] { execute(handle, stream.get(), made, shared); }, "overlaps the result");
}

TEST_F(CudnnRules, PointersKeepTheDeclaredAlignment) {
  float* p = memory.data();
  expect_fault(variant_pack({1, 2, 3}, {p + 1, p + 64, p + 128}, p + 256), cudaErrorMisalignedAddress,
               "aligned to 4");
}

TEST_F(CudnnRules, TensorsLieInDeviceMemory) {
  float* p = memory.data();
  expect_fault(variant_pack({1, 2, 3}, {p, p + 64, p + 1020}, p + 256), cudaErrorIllegalAddress,
               "not device memory");
}

TEST_F(CudnnRules, ExecutionsGoToAStreamOfOurs) {
  const EnginePlan made = plan();
  const Descriptor pointers = pack();
  expect_refused([&] { execute(handle, nullptr, made, pointers); }, "legacy stream");
}

TEST_F(CudnnRules, NothingIsMadeWhileAStreamIsCaptured) {
  check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
  cudnnHandle_t other{};
  EXPECT_NE(cudnnCreate(&other), CUDNN_STATUS_SUCCESS);
  EXPECT_THROW(plan(), DeviceError);
  cudaGraph_t graph{};
  static_cast<void>(cudaStreamEndCapture(stream.get(), &graph));
  if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
}

TEST_F(CudnnRules, MemoryMustStayUntilTheCapturedGraphHasRun) {
  const EnginePlan made = plan();
  Descriptor pointers;
  expect_memory_must_outlive_the_graph(stream.get(), 256, [&](void* memory_of_x) {
    float* p = memory.data();
    pointers = variant_pack({1, 2, 3}, {memory_of_x, p + 64, p + 128}, p + 256);
    execute(handle, stream.get(), made, pointers);
  });
}

TEST_F(CudnnRules, AHandleWorksOnOneBranchOfACapture) {
  const EnginePlan made = plan();
  const Descriptor pointers = pack();
  const Stream beside = make_stream();
  const Event fork = make_event(), join = make_event();
  const auto call = [&](cudaStream_t on) {
    if (on == stream.get()) return execute(handle, on, made, pointers);
    expect_refused([&] { execute(handle, on, made, pointers); }, "another branch");
  };
  capture_branches(stream.get(), beside.get(), fork.get(), join.get(), call);
}

}  // namespace
}  // namespace gpunn::cuda
