// What a user lets the device do: TF32, sums in any order, fallbacks. In the numbers, the plan, the log and
// the saved model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <gpunn/gpunn.hpp>
#include <nlohmann/json.hpp>
#include <numeric>

#include "simt/libraries.hpp"
#include "simt/simt.hpp"
#include "src/core/log.hpp"
#include "tests/cuda/devices.hpp"
#include "tests/support/files.hpp"
#include "tests/support/trained.hpp"

namespace gpunn {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A convolution for cuDNN, a product of more than a launch's worth with an activation that the library has
// not, and a small one.
Sequential make_model(ModelOptions options) {
  options.threads = 1;
  Sequential model({Input({6, 6, 4}), Conv2D(8, {3, 3}, {.activation = relu, .use_bias = false}), Flatten(),
                    Dense(1024, {.activation = tanh}), Dense(16, {.activation = relu}),
                    Dense(10, {.activation = softmax})},
                   options);
  model.compile({.optimizer = SGD(), .loss = SparseCategoricalCrossentropy()});
  return model;
}

constexpr std::int64_t kBatch = 128;

struct Batch {
  Tensor x{Shape{kBatch, 6, 6, 4}}, y{Shape{kBatch}, Dtype::i32};
  Batch() {
    for (std::size_t i = 0; i < x.data<float>().size(); ++i)
      x.data<float>()[i] = uniform01({.seed = 5, .stream = 1}, i);
    for (std::size_t i = 0; i < kBatch; ++i) y.data<std::int32_t>()[i] = static_cast<std::int32_t>(i % 10);
  }
};

Trained train(Sequential& model, int steps = 3) {
  const Batch batch;
  return train_steps(model, batch.x, batch.y, kBatch, steps);
}

Trained train(const ModelOptions& options) {
  Sequential model = make_model(options);
  return train(model);
}

bool same_bits(const Trained& a, const Trained& b) {
  return a.losses == b.losses && a.weights.size() == b.weights.size() &&
         std::memcmp(a.weights.data(), b.weights.data(), a.weights.size() * sizeof(float)) == 0;
}

nlohmann::json plan_of(const Model& model) {
  return nlohmann::json::parse(model.plan({.batch_size = kBatch}).json);
}

// "conv2d: cudnn engine 70", ...
std::vector<std::string> implementations(const nlohmann::json& plan) {
  std::vector<std::string> names;
  for (const auto& step : plan["steps"])
    names.push_back(step["op"].get<std::string>() + ": " + step["implementation"].get<std::string>());
  return names;
}

class CudaOptions : public ::testing::Test {
 protected:
  void SetUp() override {
    register_devices();
    forget_logged_keys();
    set_log_sink([this](LogLevel, std::string_view message) { log_ += std::string(message) + "\n"; });
  }
  void TearDown() override {
    set_log_sink({});
    simt::set_cublaslt_heuristic(simt::Heuristic::normal);
    simt::set_cudnn_heuristic(simt::Heuristic::normal);
    simt::set_options(simt::Options::from_environment());
  }
  std::string log_;
};

TEST_F(CudaOptions, Tf32IsInTheNumbersThePlanAndTheLog) {
  const Trained strict = train({.device = "sim"});
  EXPECT_TRUE(same_bits(train({.device = "sim"}), strict));
  EXPECT_EQ(log_, "");
  Sequential model = make_model({.device = "sim", .allow_tf32 = true});
  EXPECT_THAT(log_, HasSubstr("allow_tf32: on sim "));
  const auto before = implementations(plan_of(model));
  EXPECT_THAT(before, testing::Contains("dense: cublaslt (TF32)"));
  if (GPUNN_HAVE_CUDNN) {
    EXPECT_THAT(before, testing::Contains("conv2d: cudnn engine 36 (TF32)"));
  }
  EXPECT_EQ(plan_of(model)["arithmetic"]["allow_tf32"], true);
  EXPECT_THAT(model.plan({.batch_size = kBatch}).text,
              HasSubstr("Arithmetic: TF32 in the steps that name it"));
  const Trained rounded = train(model);
  EXPECT_FALSE(same_bits(rounded, strict));
  EXPECT_NEAR(rounded.losses[0], strict.losses[0], 1e-2 * strict.losses[0]);
  EXPECT_THAT(implementations(plan_of(model)), testing::Contains("dense: cublaslt algorithm 66 (TF32)"));
  // Without the libraries nothing rounds: kernels of ours stay fp32.
  EXPECT_TRUE(same_bits(train({.device = "sim-own", .allow_tf32 = true}), train({.device = "sim-own"})));
}

TEST_F(CudaOptions, Tf32ChangesNothingWhereThereIsNone) {
  simt::Options options = simt::options();
  options.architecture = 75;
  simt::set_options(options);
  register_backend("sim-75", cuda::make_backend(0));
  simt::set_options(simt::Options::from_environment());
  for (const std::string device : {"sim-75", "cpu"}) {
    Sequential model = make_model({.device = device, .allow_tf32 = true, .deterministic = device != "cpu"});
    EXPECT_THAT(log_, HasSubstr("allow_tf32 changes nothing: " + device + " computes in fp32"));
    EXPECT_EQ(plan_of(model)["arithmetic"]["allow_tf32"], false);
    EXPECT_THAT(model.plan({.batch_size = kBatch}).text,
                AllOf(HasSubstr("Arithmetic: fp32"), Not(HasSubstr("TF32"))));
  }
  EXPECT_THAT(log_, HasSubstr("deterministic = false changes nothing: cpu"));
}

TEST_F(CudaOptions, SumsInAnyOrderAreForThoseWhoAskForThem) {
  Sequential model = make_model({.device = "sim", .deterministic = false});
  EXPECT_THAT(log_, HasSubstr("deterministic = false: on sim "));
  EXPECT_EQ(plan_of(model)["arithmetic"]["deterministic"], false);
  EXPECT_THAT(model.plan({.batch_size = kBatch}).text, HasSubstr("another order each time"));
  if (GPUNN_HAVE_CUDNN) {
    EXPECT_THAT(implementations(plan_of(model)),
                testing::Contains("conv2d_backward_weights: cudnn engine 25 (not deterministic)"));
  }
  const Trained first = train(model);
  EXPECT_FALSE(same_bits(train({.device = "sim", .deterministic = false}), first));
  EXPECT_TRUE(same_bits(train({.device = "sim"}), train({.device = "sim"})));
}

TEST_F(CudaOptions, TheSavedModelKnowsHowItWasComputed) {
  const TempDir folder;
  const auto file = folder.path() / "model.safetensors";
  make_model({.device = "sim", .allow_tf32 = true}).save(file);
  log_.clear();
  load_model(file, {.device = "sim", .allow_tf32 = true});
  EXPECT_EQ(log_, "");
  load_model(file, {.device = "sim"});
  EXPECT_THAT(log_, HasSubstr("it was saved with allow_tf32 true, and is now false"));
  log_.clear();
  make_model({.device = "sim", .deterministic = false}).save(file);
  load_model(file, {.device = "cpu"});
  EXPECT_THAT(log_, HasSubstr("it was saved with deterministic false, and is now true"));
}

// Strict: not ours in place of the library's, whenever that shows.
TEST_F(CudaOptions, StrictRefusesAProductWithoutAnAlgorithm) {
  simt::set_cublaslt_heuristic(simt::Heuristic::nothing);
  Sequential model = make_model({.device = "sim", .strict = true});
  try {
    train(model);
    ADD_FAILURE() << "there is no algorithm";
  } catch (const DeviceError& error) {
    EXPECT_THAT(
        error.what(),
        AllOf(HasSubstr("options_test.cpp:"), HasSubstr("dense (inputs [128, 128], [128, 1024], [1024])"),
              HasSubstr("cublaslt is replaced by own gemm: cuBLASLt has no algorithm")));
  }
  EXPECT_EQ(log_, "");
  // The library is not wanted for what our kernels do by rule.
  simt::set_cublaslt_heuristic(simt::Heuristic::normal);
  EXPECT_NO_THROW(train(model));
  EXPECT_EQ(log_, "");
}

// The second bias of 129 units is at an address that cuBLASLt does not take: the plan knows, so nothing falls
// back.
TEST_F(CudaOptions, StrictTakesRecurrentLayersOfOddWidth) {
  for (const std::int64_t units : {129, 132}) {
    Sequential model({Input({3, 40}), GRU(units, {.return_sequences = true}), LSTM(units), Dense(1)},
                     {.device = "sim", .strict = true});
    model.compile({.optimizer = SGD(), .loss = MeanSquaredError()});
    Tensor x(Shape{32, 3, 40}), y(Shape{32, 1});
    for (float& value : x.data<float>()) value = 0.5f;
    for (float& value : y.data<float>()) value = 1;
    EXPECT_TRUE(std::isfinite(model.train_on_batch(x, y)["loss"]));
    EXPECT_THAT(plan_of(model).dump(), HasSubstr("cublaslt"));
  }
}

TEST_F(CudaOptions, StrictRefusesAConvolutionWithoutAnEngine) {
  if (!GPUNN_HAVE_CUDNN) GTEST_SKIP() << "built without cuDNN";
  const Batch batch;
  // An engine that is there for plans and cannot be bound; then one that is not even there for plans.
  Sequential bound = make_model({.device = "sim", .strict = true});
  EXPECT_NO_THROW(plan_of(bound));
  simt::set_cudnn_heuristic(simt::Heuristic::unsupported);
  const auto expect = [](const std::string& what) {
    EXPECT_THAT(what, AllOf(HasSubstr("options_test.cpp:"), HasSubstr("conv2d"), HasSubstr("[128, 6, 6, 4]"),
                            HasSubstr("is replaced by own convolution: cuDNN has no engine")));
  };
  try {
    train(bound);
    ADD_FAILURE() << "there is no engine";
  } catch (const DeviceError& error) {
    expect(error.what());
  }
  Sequential other({Input({6, 6, 4}), Conv2D(9, {3, 3}), Flatten(), Dense(10, {.activation = softmax})},
                   {.device = "sim", .strict = true});
  other.compile({.optimizer = SGD(), .loss = SparseCategoricalCrossentropy()});
  try {
    static_cast<void>(other.plan());
    ADD_FAILURE() << "there is no engine";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("cudnn is replaced by own convolution"));
  }
}

// Without strict: told once, with the layer and the reason, and the plan is what then runs.
TEST_F(CudaOptions, AfterAFallbackThePlanIsWhatRuns) {
  const auto launches = [](const nlohmann::json& plan) {
    std::vector<std::size_t> all;
    for (const auto& step : plan["steps"]) all.push_back(step["launches"].get<std::size_t>());
    return all;
  };
  const auto sum = [](const std::vector<std::size_t>& all) {
    return std::accumulate(all.begin(), all.end(), std::size_t{0});
  };
  // The kernels of ours that start, without those that gather images and labels.
  const auto started = [](Sequential& model) {
    const Batch batch;
    simt::clear_launches();
    model.train_on_batch(batch.x, batch.y);
    return simt::launches().size() - 2;
  };
  Sequential model = make_model({.device = "sim"});
  const auto planned = launches(plan_of(model));
  simt::set_cublaslt_heuristic(simt::Heuristic::nothing);
  simt::set_cudnn_heuristic(simt::Heuristic::unsupported);
  const std::size_t counted = started(model);
  const auto plan = plan_of(model);
  EXPECT_EQ(sum(launches(plan)), counted);
  EXPECT_NE(launches(plan), planned) << "the test wants a plan that the fallback changes";
  for (const std::string& name : implementations(plan)) EXPECT_THAT(name, Not(HasSubstr("cublaslt"))) << name;
  EXPECT_THAT(log_, HasSubstr("dense, dense: cublaslt is replaced by own gemm: cuBLASLt has no algorithm"));
  const std::string once = log_;
  started(model);
  EXPECT_EQ(log_, once);
  // And with the libraries, whose calls are launches of the plan too.
  simt::set_cublaslt_heuristic(simt::Heuristic::normal);
  simt::set_cudnn_heuristic(simt::Heuristic::normal);
  Sequential whole = make_model({.device = "sim"});
  simt::clear_calls();
  const std::size_t own = started(whole);
  EXPECT_EQ(sum(launches(plan_of(whole))),
            own + simt::calls("cublasLtMatmul") + simt::calls("cudnnBackendExecute"));
  EXPECT_THAT(implementations(plan_of(whole)), testing::Contains("dense: cublaslt algorithm 66"));
}

}  // namespace
}  // namespace gpunn
