// Products through our wrapper of cuBLASLt, answered by the stand-in: numbers against double; and each of the
// library's rules broken on purpose, to see that the stand-in notices.
#include <cublasLt.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "simt/libraries.hpp"
#include "simt/simt.hpp"
#include "src/cuda/libraries/cublaslt_gemm.hpp"
#include "tests/cuda/captured.hpp"
#include "tests/cuda/device_memory.hpp"

namespace gpunn::cuda {
namespace {

using kernels::Accumulate;
using kernels::Layout;

constexpr std::size_t kWorkspace = 1 << 20;

struct Size {
  std::int64_t m, n, k;
};
constexpr Size kSizes[] = {{1, 1, 1}, {8, 64, 10}, {31, 33, 7}, {33, 16, 32}, {5, 67, 128}};

// a[i, k], b[k, j] of row-major operands, in double.
double product(const LtGemm& g, const std::vector<float>& a, const std::vector<float>& b, std::int64_t i,
               std::int64_t j) {
  const kernels::Gemm& s = g.shape;
  double sum = 0;
  for (std::int64_t k = 0; k < s.k; ++k) {
    const double left = a[static_cast<std::size_t>(s.layout == Layout::tn ? k * s.m + i : i * s.k + k)];
    const double right = b[static_cast<std::size_t>(s.layout == Layout::nt ? j * s.k + k : k * s.n + j)];
    sum += left * right;
  }
  return sum;
}

struct Result {
  std::vector<float> y, bias;
  std::string why;
  std::size_t workspace = 0;
};

// `shift`: floats by which every operand but the bias lies behind an aligned address.
Result run(const LtGemm& g, const std::vector<float>& a, const std::vector<float>& b,
           const std::vector<float>& bias, std::size_t shift = 0) {
  const kernels::Gemm& s = g.shape;
  Result result;
  DeviceFloats left(a, shift), right(b, shift), vector(bias);
  DeviceFloats y(std::vector<float>(static_cast<std::size_t>(s.m * s.n),
                                    g.mode == Accumulate::add ? 0.5f : std::nanf("")),
                 shift);
  const DeviceFloats workspace(std::vector<float>(kWorkspace / sizeof(float)));
  const Stream stream = make_stream();
  const auto handle = make_handle<CublasLt>(cublasLtCreate);
  const auto plan = LtPlan::choose(handle.get(), g, {left.data(), right.data(), y.data(), vector.data()},
                                   kWorkspace, result.why);
  if (!plan) return result;
  result.workspace = plan->workspace_bytes();
  plan->run(stream.get(), workspace.data());
  check(cudaStreamSynchronize(stream.get()));
  result.y = y.read(), result.bias = vector.read();
  return result;
}

TEST(CublasLt, EveryLayoutEpilogueAndSizeIsTheProduct) {
  for (const Layout layout : {Layout::nn, Layout::nt, Layout::tn}) {
    for (const Size& z : kSizes) {
      for (const int variant : {0, 1, 2, 3, 4}) {  // plain, added, bias, bias and relu, gradient of the bias
        if (variant == 4 && layout != Layout::tn) continue;
        LtGemm g{.shape = {layout, z.m, z.n, z.k}};
        g.mode = variant == 1 ? Accumulate::add : Accumulate::overwrite;
        g.bias = variant == 2 || variant == 3, g.relu = variant == 3, g.bias_gradient = variant == 4;
        const auto a = noise(z.m * z.k, 1), b = noise(z.k * z.n, 2), bias = noise(z.n, 3);
        const Result got = run(g, a, b, bias, static_cast<std::size_t>(variant % 2));
        ASSERT_EQ(got.y.size(), static_cast<std::size_t>(z.m * z.n)) << got.why;
        EXPECT_GT(got.workspace, 0u) << "the preference's default is no workspace";
        const double tolerance = 4 * std::sqrt(static_cast<double>(z.k)) * 0x1p-24 * 2;
        for (std::int64_t i = 0; i < z.m; ++i) {
          for (std::int64_t j = 0; j < z.n; ++j) {
            double want = product(g, a, b, i, j) + (g.mode == Accumulate::add ? 0.5 : 0);
            if (g.bias) want += bias[static_cast<std::size_t>(j)];
            if (g.relu) want = std::max(want, 0.0);
            ASSERT_NEAR(got.y[static_cast<std::size_t>(i * z.n + j)], want, tolerance * (1 + std::abs(want)))
                << "layout " << int(layout) << " variant " << variant << " at " << i << "," << j;
          }
        }
        for (std::int64_t j = 0; g.bias_gradient && j < z.n; ++j) {
          double want = 0;
          for (std::int64_t k = 0; k < z.k; ++k) want += b[static_cast<std::size_t>(k * z.n + j)];
          ASSERT_NEAR(got.bias[static_cast<std::size_t>(j)], want, tolerance * (1 + std::abs(want)));
        }
      }
    }
  }
  EXPECT_EQ(simt::live_library_objects(), 0);
}

TEST(CublasLt, StrictFloatUnlessTf32IsAskedFor) {
  LtGemm g{.shape = {Layout::nn, 16, 16, 64}};
  const auto a = noise(16 * 64, 1), b = noise(64 * 16, 2);
  const auto strict = run(g, a, b, {});
  g.tf32 = true;
  const auto rounded = run(g, a, b, {});
  double worst = 0;
  for (std::size_t i = 0; i < strict.y.size(); ++i)
    worst = std::max(worst, std::abs(double{strict.y[i]} - double{rounded.y[i]}));
  EXPECT_GT(worst, 1e-4) << "TF32 has 10 bits";
}

TEST(CublasLt, NoAlgorithmIsAnAnswerWithAReason) {
  const LtGemm g{.shape = {Layout::nn, 16, 16, 16}};
  const auto a = noise(256, 1), b = noise(256, 2);
  for (const auto answer :
       {simt::Heuristic::nothing, simt::Heuristic::unsupported, simt::Heuristic::not_running}) {
    simt::set_cublaslt_heuristic(answer);
    const Result got = run(g, a, b, {});
    EXPECT_TRUE(got.y.empty());
    EXPECT_NE(got.why.find("no algorithm"), std::string::npos) << got.why;
  }
  simt::set_cublaslt_heuristic(simt::Heuristic::normal);
  EXPECT_FALSE(run(g, a, b, {}).y.empty());
}

TEST(CublasLt, OurRulesRefuseWithAReason) {
  const auto handle = make_handle<CublasLt>(cublasLtCreate);
  DeviceFloats a(noise(256, 1)), b(noise(256, 2)), y(noise(256, 3)), bias(noise(32, 4));
  std::string why;
  LtGemm g{.shape = {Layout::nn, 16, 16, 16}, .bias = true};
  // A bias at an odd address faults on the device, whatever alignment is declared.
  EXPECT_FALSE(LtPlan::choose(handle.get(), g, {a.data(), b.data(), y.data(), bias.data() + 1}, 0, why));
  EXPECT_NE(why.find("aligned to 16"), std::string::npos);
  g.relu = true, g.mode = Accumulate::add;
  EXPECT_FALSE(LtPlan::choose(handle.get(), g, {a.data(), b.data(), y.data(), bias.data()}, 0, why));
  g = {.shape = {Layout::nn, 0, 16, 16}};
  EXPECT_FALSE(LtPlan::choose(handle.get(), g, {a.data(), b.data(), y.data(), nullptr}, 0, why));
  // Mistakes of the caller's are errors.
  g = {.shape = {Layout::nn, 16, 16, 16}, .bias = true};
  EXPECT_THROW(LtPlan::choose(handle.get(), g, {a.data(), b.data(), y.data(), nullptr}, 0, why), UsageError);
  g = {.shape = {Layout::nt, 16, 16, 16}, .bias_gradient = true};
  EXPECT_THROW(LtPlan::choose(handle.get(), g, {a.data(), b.data(), y.data(), bias.data()}, 0, why),
               UsageError);
}

// ---- the stand-in's own rules ---------------------------------------------------------------------

// A product as a program would call for it that knows every rule; each test breaks one.
class CublasLtRules : public ::testing::Test {
 protected:
  static constexpr std::int64_t kM = 20, kN = 12, kK = 16;  // column-major D = A B

  void SetUp() override {
    simt::Options options = simt::options();
    options.on_fault = simt::OnFault::error;  // a fault is a sticky error, as on a GPU
    options.streams = simt::Streams::lazy;    // nothing runs before it is waited for
    simt::set_options(options);
    check(cublasLtCreate(&handle));
    check(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    check(cublasLtMatrixLayoutCreate(&a, CUDA_R_32F, kM, kK, kM));
    check(cublasLtMatrixLayoutCreate(&b, CUDA_R_32F, kK, kN, kK));
    check(cublasLtMatrixLayoutCreate(&d, CUDA_R_32F, kM, kN, kM));
    check(cublasLtMatmulPreferenceCreate(&preference));
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{1 << 16});
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_INPLACE});
  }
  void TearDown() override {
    cublasLtMatmulPreferenceDestroy(preference);
    cublasLtMatrixLayoutDestroy(d), cublasLtMatrixLayoutDestroy(b), cublasLtMatrixLayoutDestroy(a);
    cublasLtMatmulDescDestroy(operation);
    cublasLtDestroy(handle);
    static_cast<void>(cudaDeviceReset());
    simt::set_options(simt::Options::from_environment());
  }

  template <class T>
  void prefer(cublasLtMatmulPreferenceAttributes_t name, T value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value));
  }
  template <class T>
  void describe(cublasLtMatmulDescAttributes_t name, T value) {
    check(cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value));
  }
  cublasStatus_t find(int* count) {
    return cublasLtMatmulAlgoGetHeuristic(handle, operation, a, b, d, d, preference, 8, found, count);
  }
  // The first result that may be used.
  const cublasLtMatmulHeuristicResult_t& first() {
    int count = 0;
    EXPECT_EQ(find(&count), CUBLAS_STATUS_SUCCESS);
    for (int i = 0; i < count; ++i) {
      if (found[i].state == CUBLAS_STATUS_SUCCESS) return found[i];
    }
    ADD_FAILURE() << "no result";
    return found[0];
  }
  cublasStatus_t multiply(const cublasLtMatmulAlgo_t* algo, std::size_t bytes) {
    return cublasLtMatmul(handle, operation, alpha, left, a, right, b, &beta, c, d, out, d, algo, scratch,
                          bytes, stream.get());
  }
  // The call is refused, and the report says why.
  void expect_refused(cublasStatus_t status, const char* why) {
    EXPECT_EQ(status, CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_NE(simt::last_report().find(why), std::string::npos) << simt::last_report();
  }
  // The call succeeds, the device is dead soon after.
  void expect_fault(cublasStatus_t status, cudaError_t error, const char* why) {
    EXPECT_EQ(status, CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cudaStreamSynchronize(stream.get()), error);
    EXPECT_NE(simt::last_report().find(why), std::string::npos) << simt::last_report();
  }

  cublasLtHandle_t handle{};
  cublasLtMatmulDesc_t operation{};
  cublasLtMatrixLayout_t a{}, b{}, d{};
  cublasLtMatmulPreference_t preference{};
  cublasLtMatmulHeuristicResult_t found[8]{};
  Stream stream = make_stream();
  DeviceFloats memory{std::vector<float>(8192)};
  float one = 1, beta = 0;
  const void* alpha = &one;
  float *left = memory.data(), *right = memory.data() + 512, *out = memory.data() + 1024, *c = out,
        *scratch = memory.data() + 2048, *vector = memory.data() + 1536;
};

TEST_F(CublasLtRules, ARightCallRaisesNoAlarm) {
  const std::size_t before = simt::report_count();
  const auto& best = first();
  EXPECT_EQ(multiply(&best.algo, best.workspaceSize), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  EXPECT_EQ(simt::report_count(), before) << simt::last_report();
}

TEST_F(CublasLtRules, AHandleWorksOnItsOwnDeviceWhileItLives) {
  const auto best = first();
  check(cublasLtDestroy(handle));
  expect_refused(multiply(&best.algo, best.workspaceSize), "handle is not alive");
  EXPECT_EQ(cublasLtDestroy(handle), CUBLAS_STATUS_INVALID_VALUE);
  check(cublasLtCreate(&handle));
}

TEST_F(CublasLtRules, StreamsMustBeAliveAndNotTheLegacyOne) {
  const auto best = first();
  stream.reset();
  expect_refused(multiply(&best.algo, best.workspaceSize), "legacy stream");
}

TEST_F(CublasLtRules, TheLeadingDimensionReachesOverTheRows) {
  cublasLtMatrixLayout_t wrong{};
  expect_refused(cublasLtMatrixLayoutCreate(&wrong, CUDA_R_32F, 20, 16, 16), "leading dimension");
}

TEST_F(CublasLtRules, RowMajorOperandsInTheirOwnOrderDoNotFit) {
  std::swap(a, b);
  int count = 0;
  expect_refused(find(&count), "do not fit");
  std::swap(a, b);
}

TEST_F(CublasLtRules, AttributesHaveTheirSize) {
  const std::int64_t wide = CUBLAS_OP_T;
  expect_refused(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &wide, sizeof wide),
                 "has 4 bytes");
}

TEST_F(CublasLtRules, PointersMustKeepTheAlignmentThatWasDeclared) {
  left += 1;  // declared: 256, the default
  const auto& best = first();
  expect_fault(multiply(&best.algo, best.workspaceSize), cudaErrorMisalignedAddress, "A is aligned to 4");
}

TEST_F(CublasLtRules, DeclaredOddAddressesAreFine) {
  left += 1;
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t{4});
  const auto& best = first();
  EXPECT_EQ(multiply(&best.algo, best.workspaceSize), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
}

TEST_F(CublasLtRules, TheWorkspaceIsAsLargeAndAlignedAsTheAlgorithmNeeds) {
  const auto best = first();
  ASSERT_GT(best.workspaceSize, 0u);
  expect_refused(multiply(&best.algo, best.workspaceSize - 1), "bytes of workspace");
  scratch += 16;
  expect_fault(multiply(&best.algo, best.workspaceSize), cudaErrorMisalignedAddress, "the workspace");
}

TEST_F(CublasLtRules, TheWorkspaceIsDeviceMemoryOverItsWholeLength) {
  const auto& best = first();
  scratch = memory.data() + 8192 - 64;
  expect_fault(multiply(&best.algo, best.workspaceSize), cudaErrorIllegalAddress, "not device memory");
}

TEST_F(CublasLtRules, WithoutAPreferenceThereIsNoWorkspace) {
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{0});
  EXPECT_EQ(first().workspaceSize, 0u);
}

TEST_F(CublasLtRules, WhatTheWorkspaceHeldIsGone) {
  const auto& best = first();
  check(cudaMemsetAsync(scratch, 0, 1024, stream.get()));
  check(multiply(&best.algo, best.workspaceSize));
  float value = 0;
  check(cudaMemcpyAsync(&value, scratch, sizeof value, cudaMemcpyDeviceToHost, stream.get()));
  check(cudaStreamSynchronize(stream.get()));
  EXPECT_TRUE(std::isnan(value));
}

TEST_F(CublasLtRules, EpiloguesNeedTheirBiasAlignedAndInDeviceMemory) {
  describe(CUBLASLT_MATMUL_DESC_EPILOGUE, std::uint32_t{CUBLASLT_EPILOGUE_BIAS});
  const auto best = first();
  expect_refused(multiply(&best.algo, best.workspaceSize), "bias pointer");
  describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER,
           static_cast<void*>(vector + 4));  // fewer bytes than the heuristic saw
  expect_fault(multiply(&best.algo, best.workspaceSize), cudaErrorMisalignedAddress, "the bias");
}

TEST_F(CublasLtRules, ABiasUnderSixteenBytesFaultsEvenWhenTheHeuristicSawIt) {
  describe(CUBLASLT_MATMUL_DESC_EPILOGUE, std::uint32_t{CUBLASLT_EPILOGUE_BIAS});
  describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(vector + 1));
  const auto& best = first();
  expect_fault(multiply(&best.algo, best.workspaceSize), cudaErrorMisalignedAddress, "the bias");
}

TEST_F(CublasLtRules, TheMasksLeadingDimensionCountsBits) {
  describe(CUBLASLT_MATMUL_DESC_EPILOGUE, std::uint32_t{CUBLASLT_EPILOGUE_RELU_AUX});
  describe(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(vector));
  int count = 0;
  for (const std::int64_t ld : {0, 20, 64}) {
    describe(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, ld);
    expect_refused(find(&count), "multiple of 128");
  }
  describe(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{128});
  EXPECT_EQ(find(&count), CUBLAS_STATUS_SUCCESS);
}

TEST_F(CublasLtRules, ScalarsLieWhereThePointerModeSays) {
  const auto best = first();
  alpha = memory.data();
  expect_refused(multiply(&best.algo, best.workspaceSize), "read on the host");
  alpha = nullptr;
  expect_refused(multiply(&best.algo, best.workspaceSize), "no alpha");
}

TEST_F(CublasLtRules, BetaReadsC) {
  const auto best = first();
  beta = 1, c = nullptr;
  expect_refused(multiply(&best.algo, best.workspaceSize), "there is no C");
}

TEST_F(CublasLtRules, BetaZeroDoesNot) {
  const auto& best = first();
  check(cudaMemsetAsync(memory.data(), 0, 4096, stream.get()));
  check(cudaMemsetAsync(out, 0xFF, 20 * 12 * sizeof(float), stream.get()));  // NaN
  check(multiply(&best.algo, best.workspaceSize));
  float value = 1;
  check(cudaMemcpyAsync(&value, out, sizeof value, cudaMemcpyDeviceToHost, stream.get()));
  check(cudaStreamSynchronize(stream.get()));
  EXPECT_EQ(value, 0);
}

TEST_F(CublasLtRules, AnAlgorithmIsGivenAndMadeForThisProduct) {
  auto best = first();
  expect_refused(multiply(nullptr, 0), "no algorithm");
  describe(CUBLASLT_MATMUL_DESC_EPILOGUE, std::uint32_t{CUBLASLT_EPILOGUE_RELU});
  expect_refused(multiply(&best.algo, best.workspaceSize), "another product");
}

TEST_F(CublasLtRules, AResultMustBeOneThatRuns) {
  int count = 0;
  ASSERT_EQ(find(&count), CUBLAS_STATUS_SUCCESS);
  EXPECT_NE(found[0].state, CUBLAS_STATUS_SUCCESS)
      << "a caller that does not look at the state takes this one";
}

TEST_F(CublasLtRules, TheResultMayNotOverlapAnOperand) {
  const auto best = first();
  right = out;
  expect_refused(multiply(&best.algo, best.workspaceSize), "overlaps D");
}

TEST_F(CublasLtRules, WithoutAMaskSumsComeInAnyOrder) {
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_MASK});
  const auto values = noise(512, 5);
  check(cudaMemcpyAsync(memory.data(), values.data(), 2048, cudaMemcpyHostToDevice, stream.get()));
  check(cudaMemcpyAsync(right, values.data(), 1024, cudaMemcpyHostToDevice, stream.get()));
  const auto& best = first();
  std::vector<float> runs[2] = {std::vector<float>(240), std::vector<float>(240)};
  for (auto& run : runs) {
    check(multiply(&best.algo, best.workspaceSize));
    check(cudaMemcpyAsync(run.data(), out, 960, cudaMemcpyDeviceToHost, stream.get()));
    check(cudaStreamSynchronize(stream.get()));
  }
  EXPECT_NE(runs[0], runs[1]);
}

TEST_F(CublasLtRules, MemoryMustStayUntilTheCapturedGraphHasRun) {
  const auto& best = first();
  expect_memory_must_outlive_the_graph(stream.get(), 4096, [&](void* memory) {
    scratch = static_cast<float*>(memory);
    EXPECT_EQ(multiply(&best.algo, best.workspaceSize), CUBLAS_STATUS_SUCCESS);
  });
}

TEST_F(CublasLtRules, AHandleWorksOnOneBranchOfACapture) {
  const auto best = first();
  const Stream beside = make_stream();
  const Event fork = make_event(), join = make_event();
  std::vector<cublasStatus_t> statuses;
  const auto call = [&](cudaStream_t on) {
    statuses.push_back(cublasLtMatmul(handle, operation, alpha, left, a, right, b, &beta, c, d, out, d,
                                      &best.algo, scratch, best.workspaceSize, on));
  };
  capture_branches(stream.get(), beside.get(), fork.get(), join.get(), call);
  EXPECT_EQ(statuses[0], CUBLAS_STATUS_SUCCESS);
  expect_refused(statuses[1], "another branch");
}

TEST_F(CublasLtRules, CallsFailWhenAPlanOfFaultsSaysSo) {
  simt::inject_faults(
      R"({"cudaRuntimeFaults": {"cublasLtMatmul": {"injectionType": 2, "substituteReturnCode": 2}}})");
  const auto best = first();
  EXPECT_EQ(multiply(&best.algo, best.workspaceSize), CUBLAS_STATUS_ALLOC_FAILED);
  simt::inject_faults("");
  EXPECT_EQ(multiply(&best.algo, best.workspaceSize), CUBLAS_STATUS_SUCCESS);
}

}  // namespace
}  // namespace gpunn::cuda
