// Plans every convolution of the example network for one GPU of each architecture, and compares with the
// written table of engines.
//
//   cudnn_test --write    writes the table, plans.md, instead
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "src/cuda/libraries/cudnn_convolution.hpp"
#include "src/cuda/libraries/known_devices.hpp"
#include "src/cuda/libraries/rnn.hpp"
#include "tests/cudnn/plan_table.hpp"

namespace gpunn::cuda {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string read_file(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

// With any release of cuDNN.
TEST(ConvolutionPlans, EveryLayerPassAndTypeForEveryArchitectureKeepsTheRules) {
  const auto all = plan_every_pass();
  EXPECT_EQ(all.size(), 2 * 4 * 3 * known_devices().size());
  for (const PlannedPass& p : all) {
    SCOPED_TRACE(p.name());
    if (p.type == "bf16" && p.architecture < 80) {  // no such type in that hardware
      EXPECT_THAT(p.refused, ::testing::HasSubstr("no engine"));
      continue;
    }
    EXPECT_EQ(p.refused, "");
    EXPECT_GE(p.engine, 0);
    EXPECT_TRUE(p.deterministic);
    if (p.type == "fp32") {
      EXPECT_FALSE(p.tensor_cores) << "strict fp32 must not round to TF32";
    }
  }
}

TEST(ConvolutionPlans, AreThoseOfTheWrittenTable) {
  const std::string written = read_file(table_file());
  ASSERT_NE(release_of(written), "") << table_file() << " says nothing of its release";
  if (release_of(written) != cudnn_release()) {
    GTEST_SKIP() << "plans.md belongs to " << release_of(written) << ", this is " << cudnn_release();
  }
  for (const std::string& difference : differences(written, plan_every_pass())) {
    ADD_FAILURE() << difference;
  }
}

TEST(PlanTable, SaysWhichCellsDiffer) {
  std::vector<PlannedPass> all = {
      {.layer = "a", .pass = "forward", .type = "fp32", .architecture = 75, .engine = 28, .workspace = 16},
      {.layer = "a",
       .pass = "forward",
       .type = "fp32",
       .architecture = 80,
       .engine = 36,
       .workspace = 0,
       .tensor_cores = true},
      {.layer = "a", .pass = "forward", .type = "fp32", .architecture = 89, .refused = "no such type"}};
  all.resize(known_devices().size(), all[0]);
  for (std::size_t k = 3; k < all.size(); ++k) all[k].architecture = known_devices()[k].architecture;
  const std::string written = render_table(all, "cuDNN 9.1.2 for CUDA 13.0");
  EXPECT_EQ(release_of(written), "cuDNN 9.1.2 for CUDA 13.0");
  EXPECT_THAT(differences(written, all), IsEmpty());

  auto other = all;
  other[0].workspace = 17;
  other[1].fallback = true;
  other[2].refused = "another reason";
  EXPECT_THAT(differences(written, other),
              ElementsAre("a, forward, fp32, sm_75: written '28 16', planned '28 17'",
                          "a, forward, fp32, sm_80: written '36T 0', planned '36T 0 f'",
                          "why a, forward, fp32, sm_89: written 'no such type', planned 'another reason'"));
  other = all;
  other[2].refused = "";
  EXPECT_THAT(differences(written, other),
              ElementsAre("a, forward, fp32, sm_89: written 'none', planned '-1 0'",
                          "why a, forward, fp32, sm_89: written 'no such type', not planned"));
  EXPECT_EQ(differences("", all).size(), all.size() + 1);
}

TEST(ConvolutionPlans, TheDefaultChoiceIsNotAlwaysDeterministic) {
  // Why the rule exists: without it cuDNN prefers an engine that adds with atomics for strict gradients of
  // weights.
  const CudnnDevice device(std::string_view(cudnn_json(known_devices()[3])));
  const Convolution convolution{.geometry = kSecondLayer, .pass = ConvolutionPass::backward_weights};
  EXPECT_FALSE(plan_convolution(device, convolution, {.deterministic = false}).deterministic);
  EXPECT_TRUE(plan_convolution(device, convolution).deterministic);
}

TEST(ConvolutionPlans, TheWorkspaceLimitIsKept) {
  const CudnnDevice device(std::string_view(cudnn_json(known_devices()[3])));
  const Convolution convolution{.geometry = kSecondLayer, .type = ConvolutionType::fp32};
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
  for (const auto pass :
       {ConvolutionPass::forward, ConvolutionPass::backward_data, ConvolutionPass::backward_weights})
    EXPECT_NO_THROW(plan_convolution(device, {.geometry = g, .pass = pass}));
}

TEST(ConvolutionPlans, NonsenseIsRefusedWithTheLibrarysReason) {
  EXPECT_THROW(CudnnDevice(std::string_view("{}")), DeviceError);
  const CudnnDevice device(std::string_view(cudnn_json(known_devices()[3])));
  Convolution convolution{.geometry = kSecondLayer};
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

int main(int argc, char** argv) {
  using namespace gpunn::cuda;
  if (argc == 2 && std::string_view(argv[1]) == "--write") {
    std::ofstream(table_file()) << render_table(plan_every_pass(), cudnn_release());
    return std::printf("%s\n", table_file().c_str()), 0;
  }
  ::testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
