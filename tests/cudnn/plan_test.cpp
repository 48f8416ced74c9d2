// Plans every convolution of the example network for one GPU of each architecture, and prints the table of
// engines.
#include <gtest/gtest.h>

#include <cstdio>

#include "src/cuda/libraries/cudnn_convolution.hpp"
#include "src/cuda/libraries/known_devices.hpp"
#include "src/cuda/libraries/rnn.hpp"

namespace gpunn::cuda {
namespace {

struct Layer {
  const char* name;
  kernels::ConvGeometry geometry;
};
const Layer kLayers[] = {
    {"1x28x28 > 32 3x3", {.batch = 32, .in = 1, .out = 32, .height = {28, 26, 3}, .width = {28, 26, 3}}},
    {"32x13x13 > 64 3x3", {.batch = 32, .in = 32, .out = 64, .height = {13, 11, 3}, .width = {13, 11, 3}}},
};
struct Pass {
  const char* name;
  ConvolutionPass pass;
  bool fused;
};
constexpr Pass kPasses[] = {{"forward", ConvolutionPass::forward, false},
                            {"forward+bias+relu", ConvolutionPass::forward, true},
                            {"data gradient", ConvolutionPass::backward_data, false},
                            {"weight gradient", ConvolutionPass::backward_weights, false}};
struct Type {
  const char* name;
  ConvolutionType type;
};
constexpr Type kTypes[] = {
    {"fp32", ConvolutionType::fp32}, {"tf32", ConvolutionType::tf32}, {"bf16", ConvolutionType::bf16}};

std::string cell(const EnginePlan& plan) {
  char text[64];
  std::snprintf(text, sizeof text, "%lld%s %.1fK%s", static_cast<long long>(plan.engine),
                plan.tensor_cores ? "T" : "", static_cast<double>(plan.workspace) / 1024,
                plan.heuristic[0] == 'A' ? "" : " f");
  return text;
}

TEST(ConvolutionPlans, EveryLayerPassAndTypeForEveryArchitecture) {
  std::printf(
      "engine (T: tensor cores, f: from the fallback list), workspace in KiB; cuDNN %zu\n| layer | pass | "
      "type |",
      cudnnGetVersion());
  for (const KnownDevice& d : known_devices()) std::printf(" sm_%d |", d.architecture);
  for (const Layer& layer : kLayers) {
    for (const Pass& pass : kPasses) {
      for (const Type& type : kTypes) {
        std::printf("\n| %s | %s | %s |", layer.name, pass.name, type.name);
        for (const KnownDevice& known : known_devices()) {
          const CudnnDevice device(std::string_view(cudnn_json(known)));
          const Convolution convolution{.geometry = layer.geometry,
                                        .pass = pass.pass,
                                        .type = type.type,
                                        .bias = pass.fused,
                                        .relu = pass.fused};
          if (type.type == ConvolutionType::bf16 &&
              known.architecture < 80) {  // no such type in that hardware
            try {
              plan_convolution(device, convolution);
              ADD_FAILURE() << "bf16 planned for sm_" << known.architecture;
            } catch (const DeviceError& error) {
              EXPECT_NE(std::string(error.what()).find("no engine"), std::string::npos) << error.what();
            }
            std::printf(" none |");
            continue;
          }
          const EnginePlan plan = plan_convolution(device, convolution);
          std::printf(" %s |", cell(plan).c_str());
          EXPECT_TRUE(plan.deterministic);
          EXPECT_GE(plan.engine, 0);
          if (type.type == ConvolutionType::fp32) {
            EXPECT_FALSE(plan.tensor_cores) << "strict fp32 must not round to TF32";
          }
        }
      }
    }
  }
  std::printf("\n");
}

TEST(ConvolutionPlans, TheDefaultChoiceIsNotAlwaysDeterministic) {
  // Why the rule exists: without it cuDNN prefers an engine that adds with atomics for strict gradients of
  // weights.
  const CudnnDevice device(std::string_view(cudnn_json(known_devices()[3])));
  const Convolution convolution{.geometry = kLayers[1].geometry, .pass = ConvolutionPass::backward_weights};
  EXPECT_FALSE(plan_convolution(device, convolution, {.deterministic = false}).deterministic);
  EXPECT_TRUE(plan_convolution(device, convolution).deterministic);
}

TEST(ConvolutionPlans, TheWorkspaceLimitIsKept) {
  const CudnnDevice device(std::string_view(cudnn_json(known_devices()[3])));
  const Convolution convolution{.geometry = kLayers[1].geometry, .type = ConvolutionType::fp32};
  ASSERT_GT(plan_convolution(device, convolution).workspace, 1024);
  EXPECT_LE(plan_convolution(device, convolution, {.workspace = 1024}).workspace, 1024);
}

TEST(ConvolutionPlans, DilationStridesPaddingAndGroupsPlan) {
  const CudnnDevice device(std::string_view(cudnn_json(known_devices()[3])));
  const kernels::ConvGeometry g{.batch = 8,
                                .in = 64,
                                .out = 64,
                                .groups = 4,
                                .height = {29, 14, 3, 2, 1, 1},
                                .width = {29, 14, 3, 2, 1, 1}};
  for (const Pass& pass : kPasses)
    EXPECT_NO_THROW(plan_convolution(device, {.geometry = g, .pass = pass.pass}));
}

TEST(ConvolutionPlans, NonsenseIsRefusedWithTheLibrarysReason) {
  EXPECT_THROW(CudnnDevice(std::string_view("{}")), DeviceError);
  const CudnnDevice device(std::string_view(cudnn_json(known_devices()[3])));
  Convolution convolution{.geometry = kLayers[1].geometry};
  convolution.geometry.groups = 5;  // do not divide the channels
  EXPECT_THROW(plan_convolution(device, convolution), DeviceError);
}

// Unlike a convolution's engine: so the plan for a device that is not there books a bound of ours.
TEST(RecurrentPlans, SizesNeedAHandleAndSoADevice) {
  cudnnRNNDescriptor_t network = nullptr;
  cudnnDropoutDescriptor_t dropout = nullptr;
  check(cudnnCreateRNNDescriptor(&network)), check(cudnnCreateDropoutDescriptor(&dropout));
  check(cudnnSetRNNDescriptor_v8(network, CUDNN_RNN_ALGO_STANDARD, CUDNN_GRU, CUDNN_RNN_DOUBLE_BIAS,
                                 CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT,
                                 CUDNN_FMA_MATH, 40, 256, 256, 1, dropout, CUDNN_RNN_PADDED_IO_ENABLED));
  std::size_t bytes = 0;
  EXPECT_EQ(cudnnGetRNNWeightSpaceSize(nullptr, network, &bytes), CUDNN_STATUS_BAD_PARAM);
  check(cudnnDestroyRNNDescriptor(network)), check(cudnnDestroyDropoutDescriptor(dropout));

  Target described;
  std::string why;
  const Rnn rnn{.cell = RnnCell::gru,
                .batch = 3,
                .steps = 7,
                .input = 40,
                .units = 256,
                .bias = true,
                .training = true};
  const auto sizes = find_rnn(described, rnn, why);
  ASSERT_TRUE(sizes) << why;
  EXPECT_FALSE(sizes->asked);
  EXPECT_GE(sizes->weights, (3 * 256 * (40 + 256) + 6 * 256) * sizeof(float));
}

TEST(CudnnVersion, HeadersAndLibraryAreOneRelease) {
  EXPECT_NO_THROW(check_cudnn_version());
}

}  // namespace
}  // namespace gpunn::cuda
