// Calls of the CUDA runtime, cuBLASLt and cuDNN made to fail, one at a time: the right exception comes out,
// nothing leaks, and the model goes on or says that it cannot. Every allocation, the first hundred calls of
// any kind and every seventh of the rest, and those that matter by name.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <gpunn/gpunn.hpp>

#include "kernels/check.hpp"
#include "simt/libraries.hpp"
#include "simt/simt.hpp"
#include "tests/cuda/devices.hpp"

namespace gpunn {
namespace {

constexpr std::int64_t kBatch = 8;

// Convolution by cuDNN, products by cuBLASLt, and our kernels: small, because it is trained some hundred
// times.
Sequential make_model(const std::string& device) {
  // Both gradients of the second convolution run side by side: streams that wait for each other.
  Sequential model(
      {Input({6, 6, 4}), Conv2D(8, {3, 3}, {.activation = relu}), Conv2D(8, {3, 3}, {.activation = relu}),
       Flatten(), Dense(16, {.activation = relu}), Dense(10, {.activation = softmax})},
      {.device = device, .threads = 1});
  model.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy()});
  return model;
}

struct Batch {
  Tensor x{Shape{kBatch, 6, 6, 4}}, y{Shape{kBatch}, Dtype::i32};
  Batch() {
    for (std::size_t i = 0; i < x.data<float>().size(); ++i)
      x.data<float>()[i] = uniform01({.seed = 5, .stream = 1}, i);
    for (std::size_t i = 0; i < kBatch; ++i) y.data<std::int32_t>()[i] = static_cast<std::int32_t>(i);
  }
};

// Queued, captured, replayed.
std::vector<double> train(Sequential& model, const Batch& batch, int steps = 3) {
  std::vector<double> losses;
  for (int step = 0; step < steps; ++step) losses.push_back(model.train_on_batch(batch.x, batch.y)["loss"]);
  return losses;
}

std::vector<double> train_anew(const std::string& device, const Batch& batch) {
  Sequential model = make_model(device);
  return train(model, batch);
}

enum class Outcome { nothing_failed, device_error, out_of_memory };

// Trains a new model with a plan of faults; what came out, and whether the model could go on without them.
Outcome train_with(const std::string& faults, const std::string& device, const Batch& batch,
                   bool* went_on = nullptr) {
  Sequential model = make_model(device);
  Outcome outcome = Outcome::nothing_failed;
  simt::inject_faults(faults);
  try {
    train(model, batch);
  } catch (const OutOfMemory&) {
    outcome = Outcome::out_of_memory;
  } catch (const DeviceError&) {
    outcome = Outcome::device_error;
  }  // anything else ends the test
  simt::inject_faults("");
  if (outcome == Outcome::nothing_failed) return outcome;
  try {
    for (const double loss : train(model, batch)) EXPECT_TRUE(std::isfinite(loss));
    if (went_on != nullptr) *went_on = true;
  } catch (const Error&) {
    if (went_on != nullptr) *went_on = false;
  }
  return outcome;
}

std::string fail_once(const std::string& call, std::uint64_t skip, int code) {
  return R"({"cudaRuntimeFaults": {")" + call +
         R"(": {"injectionType": 2, "interceptionCount": 1, "skip": )" + std::to_string(skip) +
         R"(, "substituteReturnCode": )" + std::to_string(code) + "}}}";
}

class CudaFailures : public ::testing::Test {
 protected:
  void SetUp() override {
    register_devices();
    set_log_level(LogLevel::error);  // every fallback would be told
    clean_ = train_anew("sim", batch_);
    memory_ = simt::live_allocations(0);
    objects_ = simt::live_library_objects();
    reports_ = simt::report_count();
  }
  void TearDown() override {
    simt::inject_faults("");
    set_log_level(LogLevel::info);
    simt::set_options(simt::Options::from_environment());
  }

  // How often a clean run makes the call.
  static std::uint64_t count(const std::string& call, const Batch& batch, const std::string& device = "sim") {
    Sequential model = make_model(device);
    simt::clear_calls();
    train(model, batch);
    return simt::calls(call);
  }
  // Fewer blocks than a clean run leaves in the cache are fine: a failed allocation empties it.
  void expect_nothing_left(const std::string& where) {
    EXPECT_LE(simt::live_allocations(0), memory_) << where;
    EXPECT_EQ(simt::live_library_objects(), objects_) << where;
    EXPECT_EQ(simt::report_count(), reports_) << where << ": " << simt::last_report();
  }

  Batch batch_;
  std::vector<double> clean_;
  std::size_t memory_ = 0, reports_ = 0;
  long objects_ = 0;
};

// Each time with a backend of its own, whose cache is empty, so that every allocation is made.
TEST_F(CudaFailures, EveryAllocation) {
  int number = 0;
  const auto fresh = [&number] {
    const std::string device = "sim-fresh-" + std::to_string(number++);
    register_backend(device, cuda::make_backend(0));
    return device;
  };
  for (const std::string call : {"cudaMalloc", "cudaMallocHost"}) {
    const std::size_t before_all = simt::live_allocations(0);
    const std::uint64_t calls = count(call, batch_, fresh());
    ASSERT_GT(calls, 5u) << call;
    const std::size_t cached = simt::live_allocations(0) - before_all;  // as long as the backend lives
    for (std::uint64_t k = 0; k <= calls; ++k) {
      SCOPED_TRACE(call + " " + std::to_string(k) + " of " + std::to_string(calls));
      const auto faults = R"({"cudaRuntimeFaults": {")" + call + R"(": {"injectionType": 2, "skip": )" +
                          std::to_string(k) + R"(, "substituteReturnCode": 2}}})";
      bool usable = false;
      const std::size_t before = simt::live_allocations(0);
      const Outcome outcome = train_with(faults, fresh(), batch_, &usable);
      EXPECT_LE(simt::live_allocations(0), before + cached);
      EXPECT_EQ(outcome, k < calls ? Outcome::out_of_memory : Outcome::nothing_failed);
      EXPECT_EQ(usable, k < calls) << "the model goes on";
    }
  }
  EXPECT_EQ(simt::live_library_objects(), objects_);
  EXPECT_EQ(simt::report_count(), reports_) << simt::last_report();
  EXPECT_EQ(train_anew("sim", batch_), clean_);
}

TEST_F(CudaFailures, CallsOfTheRuntimeAndTheLibraries) {
  const std::uint64_t calls = count("*", batch_);
  ASSERT_GT(calls, 100u);
  int failed = 0, went_on = 0;
  // Every one of the first hundred, where things are made; of the rest, of which most repeat, a good sample.
  for (std::uint64_t k = 0; k < calls; k += k < 100 ? 1 : 7) {
    bool usable = false;
    const Outcome outcome = train_with(fail_once("*", k, cudaErrorUnknown), "sim", batch_, &usable);
    failed += outcome != Outcome::nothing_failed;
    went_on += usable;
    expect_nothing_left("call " + std::to_string(k));
    if (HasFailure()) return;
  }
  // Releasing things is never reported, and a plan that cuDNN cannot make is an answer: our kernel computes
  // then.
  EXPECT_GT(failed, 40);
  EXPECT_GT(went_on, failed / 2) << "most failures pass, and the model goes on";
  EXPECT_EQ(train_anew("sim", batch_), clean_);
}

// A sample may miss it, and a capture that stays open forbids its thread to allocate.
TEST_F(CudaFailures, TheCallsThatMakeAGraph) {
  for (const char* call : {"cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate",
                           "cudaGraphLaunch", "cudaStreamWaitEvent"}) {
    bool usable = false;
    EXPECT_EQ(train_with(fail_once(call, 0, cudaErrorUnknown), "sim", batch_, &usable), Outcome::device_error)
        << call;
    EXPECT_TRUE(usable) << call;
    expect_nothing_left(call);
  }
  EXPECT_EQ(train_anew("sim", batch_), clean_);
}

TEST_F(CudaFailures, EveryCallOfTheLibrariesByName) {
  for (const char* call : {"cublasLtCreate", "cublasLtMatmulDescCreate", "cublasLtMatrixLayoutCreate",
                           "cublasLtMatmulPreferenceCreate", "cublasLtMatmulDescSetAttribute",
                           "cublasLtMatmulPreferenceSetAttribute", "cublasLtMatmulAlgoGetHeuristic",
                           "cublasLtMatmul", "cudnnCreate", "cudnnSetStream", "cudnnBackendExecute"}) {
    if (!GPUNN_HAVE_CUDNN && std::string(call).rfind("cudnn", 0) == 0) continue;
    bool usable = false;
    EXPECT_EQ(train_with(fail_once(call, 0, cudaErrorUnknown), "sim", batch_, &usable), Outcome::device_error)
        << call;
    EXPECT_TRUE(usable) << call;
    EXPECT_EQ(train_with(fail_once(call, 0, cudaErrorMemoryAllocation), "sim", batch_),
              Outcome::out_of_memory)
        << call;
    expect_nothing_left(call);
  }
}

TEST_F(CudaFailures, AFailedPlanOfCudnnIsAnAnswerNotAnError) {
  if (!GPUNN_HAVE_CUDNN) GTEST_SKIP() << "built without cuDNN";
  // Heuristics and engines that fail leave the convolution to our kernel.
  EXPECT_EQ(train_with(fail_once("cudnnBackendFinalize", 0, cudaErrorUnknown), "sim", batch_),
            Outcome::nothing_failed);
  expect_nothing_left("cudnnBackendFinalize");
}

// A kernel that fails is noticed later, and for good.
TEST_F(CudaFailures, ALateLaunchErrorLeavesACleanlyDeadModel) {
  const std::uint64_t launches = count("cudaLaunchKernelExC", batch_);
  simt::Options options = simt::options();
  options.on_fault = simt::OnFault::error;
  options.streams = simt::Streams::lazy;
  options.devices = 2;  // the second one dies: the tests' device is on the first
  int number = 0;
  for (const std::uint64_t k : {std::uint64_t{0}, launches / 3, launches - 1}) {
    simt::set_options(options);
    // A backend of its own: nothing of a dead device can be used again.
    const std::string device = "sim-dead-" + std::to_string(number++);
    register_backend(device, cuda::make_backend(1));
    {
      Sequential model = make_model(device);
      simt::inject_faults(
          R"({"cudaRuntimeFaults": {"cudaLaunchKernelExC": {"injectionType": 0, "interceptionCount": 1,
                              "skip": )" +
          std::to_string(k) + "}}}");
      EXPECT_THROW(train(model, batch_), DeviceError) << k;
      simt::inject_faults("");
      EXPECT_THROW(train(model, batch_), DeviceError) << "still dead";
      EXPECT_THROW(model.predict(batch_.x), DeviceError) << "still dead";
    }
    static_cast<void>(cudaSetDevice(1));  // refused by the dead, who are current already
    check(cudaDeviceReset());
    check(cudaSetDevice(0));
  }
  register_backend("sim-reborn", cuda::make_backend(1));
  EXPECT_EQ(train_anew("sim-reborn", batch_), clean_);
  EXPECT_EQ(train_anew("sim", batch_), clean_);
}

TEST_F(CudaFailures, OutOfMemorySaysWhatWasAskedAndWhoHasIt) {
  simt::Options options = simt::options();
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  options.device_memory = total - free + (std::size_t{12} << 20);  // other tests' caches hold the rest
  simt::set_options(options);
  Sequential model({Input({1024}), Dense(1024), Dense(1024)}, {.device = "sim", .threads = 1});
  model.compile({.optimizer = Adam(), .loss = MeanSquaredError()});
  try {
    model.train_on_batch(Tensor(Shape{8, 1024}), Tensor(Shape{8, 1024}));
    ADD_FAILURE() << "8 MiB of parameters, their gradients and two moments do not fit into 12 MiB";
  } catch (const OutOfMemory& error) {
    const std::string what = error.what();
    for (const char* part :
         {"asked for", "MiB free", "cached", "in use", "largest holders", "parameters 9.0 MiB"}) {
      EXPECT_NE(what.find(part), std::string::npos) << part << ": " << what;
    }
  }
  options.device_memory = simt::Options{}.device_memory;
  simt::set_options(options);
  EXPECT_EQ(train_anew("sim", batch_), clean_);
}

}  // namespace
}  // namespace gpunn
