// The example networks trained through the public interface on the software CUDA device, beside the CPU
// backend.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpunn/gpunn.hpp>
#include <nlohmann/json.hpp>
#include <numeric>

#include "simt/libraries.hpp"
#include "simt/simt.hpp"
#include "tests/cuda/on_sim.hpp"
#include "tests/gpu/networks.hpp"
#include "tests/support/same_bits.hpp"

namespace gpunn {
namespace {

constexpr int kSteps = 20;
constexpr std::int64_t kBatch = 8;

Tensor uniform(const Shape& shape, std::uint32_t stream) {
  Tensor x(shape);
  const auto values = x.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = uniform01({.seed = 7, .stream = stream}, i);
  return x;
}

Trained train(Sequential& model, const Loss& loss, const Tensor& x, const Tensor& y, int steps = kSteps) {
  model.compile({.optimizer = Adam(), .loss = loss, .metrics = {accuracy}});
  return train_steps(model, x, y, kBatch, steps);
}

Trained train_ffn(const std::string& device) {
  Sequential model({Input({10}), Dense(64, {.activation = relu}), Dense(64, {.activation = relu}),
                    Dense(1, {.activation = sigmoid})},
                   {.device = device, .threads = 1});
  Tensor y(Shape{32, 1});
  for (std::size_t i = 0; i < 32; ++i) y.data<float>()[i] = i % 3 == 0 ? 1.0f : 0.0f;
  return train(model, BinaryCrossentropy(), uniform(Shape{32, 10}, 1), y);
}

Trained train_cnn(const std::string& device) {
  Sequential model({Input({12, 12, 1}), Conv2D(4, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}),
                    Conv2D(8, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}), Flatten(), Dropout(0.25),
                    Dense(16, {.activation = relu}), Dense(10, {.activation = softmax})},
                   {.device = device, .threads = 1});
  Tensor y(Shape{32}, Dtype::i32);
  for (std::size_t i = 0; i < 32; ++i) y.data<std::int32_t>()[i] = static_cast<std::int32_t>(i % 10);
  return train(model, SparseCategoricalCrossentropy(), uniform(Shape{32, 12, 12, 1}, 2), y);
}

// Some ids come several times in a batch, and in a sample.
Trained train_embedding(const std::string& device) {
  Sequential model({Input({6}, {.dtype = Dtype::i32}), Embedding(20, 8), Flatten(), Dropout(0.25),
                    Dense(1, {.activation = sigmoid})},
                   {.device = device, .threads = 1});
  Tensor x({32, 6}, Dtype::i32), y(Shape{32, 1});
  for (std::size_t i = 0; i < 192; ++i) x.data<std::int32_t>()[i] = static_cast<std::int32_t>(i * i % 20);
  for (std::size_t i = 0; i < 32; ++i) y.data<float>()[i] = x.data<std::int32_t>()[6 * i] < 10 ? 1.0f : 0.0f;
  return train(model, BinaryCrossentropy(), x, y);
}

void expect_close(const Trained& run, const Trained& reference) {
  ASSERT_EQ(run.losses.size(), reference.losses.size());
  for (std::size_t i = 0; i < run.losses.size(); ++i) {
    EXPECT_NEAR(run.losses[i], reference.losses[i], 1e-5 * std::abs(reference.losses[i])) << "step " << i;
  }
  // It learns: the last pass over the four batches against the first.
  const auto pass = [&](std::size_t from) {
    return std::accumulate(&run.losses[from], &run.losses[from] + 4, 0.0);
  };
  if (run.losses.size() == kSteps) {
    EXPECT_LT(pass(kSteps - 4), pass(0));
  }
}

using CudaTraining = OnSim;

TEST_F(CudaTraining, FeedForwardFollowsTheCpu) {
  expect_close(train_ffn("sim"), train_ffn("cpu"));
}

TEST_F(CudaTraining, ConvolutionalFollowsTheCpu) {
  expect_close(train_cnn("sim"), train_cnn("cpu"));
}

// The example's network in full, as tests/gpu trains it on a GPU; the others here are smaller.
TEST_F(CudaTraining, TheConvolutionalExampleFollowsTheCpu) {
  expect_close(tests::trace_cnn("sim", kSteps), tests::trace_cnn("cpu", kSteps));
}

TEST_F(CudaTraining, EmbeddingFollowsTheCpu) {
  const Trained first = train_embedding("sim");
  expect_close(first, train_embedding("cpu"));
  expect_same_bits(first, train_embedding("sim"));
}

// So many ids that they are sorted; most of them are padding, so that its sum is cut into many parts.
TEST_F(CudaTraining, ManyIdsAreSortedAndFollowTheCpu) {
  const auto trained = [](const std::string& device) {
    Sequential model({Input({1100}, {.dtype = Dtype::i32}), Embedding(300, 2), Flatten(),
                      Dense(1, {.activation = sigmoid})},
                     {.device = device, .threads = 1});
    Tensor x({16, 1100}, Dtype::i32), y(Shape{16, 1});
    const auto ids = x.data<std::int32_t>();
    for (std::size_t i = 0; i < ids.size(); ++i) {
      ids[i] = i % 1100 < 700 ? 0 : static_cast<std::int32_t>(i * 7 % 300);
    }
    for (std::size_t i = 0; i < 16; ++i) y.data<float>()[i] = i % 3 == 0 ? 1.0f : 0.0f;
    Trained result = train(model, BinaryCrossentropy(), x, y, 4);
    if (device == "sim") {
      const std::string plan = model.plan({.batch_size = kBatch}).json;
      EXPECT_THAT(plan, ::testing::HasSubstr("cub sort"));
      EXPECT_THAT(plan, ::testing::HasSubstr("8192 ids or more: sorted, then summed run by run"));
    }
    return result;
  };
  const Trained first = trained("sim");
  expect_close(first, trained("cpu"));
  expect_same_bits(first, trained("sim"));
}

// Steps that were bound before training began must see what it learns.
TEST_F(CudaTraining, EvaluatingBeforeTrainingDoesNotFreezeTheWeights) {
  const Tensor x = uniform(Shape{16, 10}, 3);
  Tensor y(Shape{16, 1});
  for (std::size_t i = 0; i < 16; ++i) y.data<float>()[i] = x.data<float>()[10 * i] > 0.5f ? 1.0f : 0.0f;
  const auto run = [&](const std::string& device) {
    Sequential model({Input({10}), Dense(1, {.activation = sigmoid})}, {.device = device, .threads = 1});
    model.compile({.optimizer = SGD({.learning_rate = 0.5, .momentum = 0.9}), .loss = BinaryCrossentropy()});
    const auto loss = [&] { return model.evaluate(x, y, {.batch_size = 8})["loss"]; };
    const auto first = [&] { return double{model.predict(x).data<float>()[0]}; };
    std::vector<double> seen{loss(), first()};
    for (int i = 0; i < 2; ++i) {
      model.fit(x, y, {.epochs = 3, .batch_size = 8, .verbose = Verbose::silent});
      seen.push_back(loss());
      seen.push_back(first());
    }
    return seen;
  };
  const std::vector<double> sim = run("sim"), cpu = run("cpu");
  for (std::size_t i = 0; i < cpu.size(); ++i) EXPECT_NEAR(sim[i], cpu[i], 1e-5 * std::abs(cpu[i])) << i;
  EXPECT_LT(cpu[2], 0.9 * cpu[0]);
}

// compile() again is a new beginning: the moments that the device keeps, too.
TEST_F(CudaTraining, CompilingAgainForgetsTheOptimizersMoments) {
  const Tensor x = uniform(Shape{16, 10}, 3), y = uniform(Shape{16, 1}, 4);
  const auto run = [&](const std::string& device) {
    Sequential model({Input({10}), Dense(1)}, {.device = device, .threads = 1});
    Trained last;
    for (int round = 0; round < 2; ++round) {
      model.compile({.optimizer = Adam({.learning_rate = 0.1}), .loss = MeanSquaredError()});
      last = train_steps(model, x, y, kBatch, 4);
    }
    return last;
  };
  expect_close(run("sim"), run("cpu"));
}

TEST_F(CudaTraining, KernelsOfOurOwnAloneFollowTheCpuToo) {
  expect_close(train_ffn("sim-own"), train_ffn("cpu"));
  expect_close(train_cnn("sim-own"), train_cnn("cpu"));
}

TEST_F(CudaTraining, CaptureChangesNoBit) {
  expect_same_bits(train_ffn("sim"), train_ffn("sim-eager"));
  expect_same_bits(train_cnn("sim"), train_cnn("sim-eager"));
}

TEST_F(CudaTraining, NoOrderOfThreadsOrStreamsChangesABit) {
  const Trained ffn = train_ffn("sim"), cnn = train_cnn("sim");
  for (const simt::Order order : {simt::Order::reverse, simt::Order::random}) {
    for (const simt::Streams streams : {simt::Streams::lazy, simt::Streams::random}) {
      simt::Options options = simt::options();
      options.order = order;
      options.streams = streams;
      simt::set_options(options);
      expect_same_bits(train_ffn("sim"), ffn);
      expect_same_bits(train_cnn("sim"), cnn);
    }
  }
  simt::set_options(simt::Options::from_environment());
}

std::vector<std::string> implementations(const Model& model, const std::string& layer, std::int64_t batch) {
  std::vector<std::string> names;
  const auto plan = nlohmann::json::parse(model.plan({.batch_size = batch}).json);
  for (const auto& step : plan["steps"]) {
    if (step["layer"] == layer && step["op"].get<std::string>().rfind("dense", 0) == 0)
      names.push_back(step["implementation"].get<std::string>() + ": " + step["why"].get<std::string>());
  }
  return names;
}

TEST_F(CudaTraining, ThePlanNamesWhoComputesAProductAndWhy) {
  using testing::ElementsAre;
  const auto plan = [](const std::string& device, std::int64_t batch) {
    Sequential model(
        {Input({16}), Dense(64, {.activation = relu}), Dense(64, {.activation = tanh}), Dense(1)},
        {.device = device});
    model.compile({.optimizer = Adam(), .loss = MeanSquaredError()});
    return std::vector{implementations(model, "dense", batch), implementations(model, "dense_1", batch),
                       implementations(model, "dense_2", batch)};
  };
  const std::string library = "cublaslt: algorithm chosen at bind", narrow = "own gemm: narrow: memory-bound";
  EXPECT_THAT(plan("sim", 600), ElementsAre(ElementsAre(library, library),
                                            ElementsAre("own gemm: the activation in the same launch",
                                                        "own gemm: the slope in the same launch", library),
                                            ElementsAre(narrow, narrow, narrow)));
  const std::string pair = "own gemm: dx and dW are small: one launch";
  EXPECT_THAT(plan("sim", 8), ElementsAre(ElementsAre(library, library),
                                          ElementsAre("own gemm: the activation in the same launch", pair),
                                          ElementsAre(pair)));
  for (const auto& layer : plan("sim-own", 600)) {
    for (const std::string& name : layer) EXPECT_EQ(name, "own gemm: libraries are switched off");
  }
}

TEST_F(CudaTraining, ProductsWithoutAnAlgorithmRunOnOurKernel) {
  simt::clear_calls();
  const Trained library = train_ffn("sim");
  EXPECT_GT(simt::calls("cublasLtMatmul"), 0u);
  simt::clear_calls();
  simt::set_cublaslt_heuristic(simt::Heuristic::nothing);
  const Trained own = train_ffn("sim");
  simt::set_cublaslt_heuristic(simt::Heuristic::normal);
  EXPECT_EQ(simt::calls("cublasLtMatmul"), 0u);
  expect_same_bits(own, train_ffn("sim-own"));
  expect_close(own, library);
}

// A layer used twice adds its gradients up; a large one leaves activation, slope and bias gradient to kernels
// behind the library's product.
TEST_F(CudaTraining, SharedAndLargeProductsFollowTheCpu) {
  const auto train_both = [](const std::string& device) {
    const Symbolic x = Input({512});
    const Layer shared = Dense(16, {.activation = relu});
    const Symbolic wide = Dense(512, {.activation = tanh})(Dense(512, {.activation = relu})(x));
    const Symbolic narrow = shared(shared(Dense(16)(wide)));
    Model model(x, Dense(10, {.activation = softmax})(narrow), {.device = device, .threads = 1});
    model.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy()});
    Tensor y(Shape{64}, Dtype::i32);
    for (std::size_t i = 0; i < 64; ++i) y.data<std::int32_t>()[i] = static_cast<std::int32_t>(i % 10);
    Trained run;
    for (int step = 0; step < 3; ++step)
      run.losses.push_back(model.train_on_batch(uniform(Shape{64, 512}, 4), y)["loss"]);
    return run;
  };
  expect_close(train_both("sim"), train_both("cpu"));
}

// Large enough that cuDNN does all three passes, with bias and slope behind it.
Trained train_wide_cnn(const std::string& device) {
  Sequential model(
      {Input({26, 26, 8}), Conv2D(16, {3, 3}, {.activation = relu}), Conv2D(32, {3, 3}, {.activation = relu}),
       GlobalAveragePooling2D(), Dense(10, {.activation = softmax})},
      {.device = device, .threads = 1});
  Tensor y(Shape{8}, Dtype::i32);
  for (std::size_t i = 0; i < 8; ++i) y.data<std::int32_t>()[i] = static_cast<std::int32_t>(i % 10);
  return train(model, SparseCategoricalCrossentropy(), uniform(Shape{8, 26, 26, 8}, 3), y, 3);
}

TEST_F(CudaTraining, AllPassesOfAConvolutionGoThroughCudnn) {
  if (!GPUNN_HAVE_CUDNN) GTEST_SKIP() << "built without cuDNN";
  simt::clear_calls();
  const Trained library = train_wide_cnn("sim");
  EXPECT_GE(simt::calls("cudnnBackendExecute"),
            8u);  // queued and captured: two forward, a gradient of each kind
  expect_close(library, train_wide_cnn("cpu"));
  expect_same_bits(library, train_wide_cnn("sim-eager"));
}

// An engine that was planned and cannot be bound: our own convolution.
TEST_F(CudaTraining, ConvolutionsWithoutAnEngineRunOnOurKernel) {
  if (!GPUNN_HAVE_CUDNN) GTEST_SKIP() << "built without cuDNN";
  simt::clear_calls();
  const Trained library = train_cnn("sim");
  EXPECT_GT(simt::calls("cudnnBackendExecute"), 0u);
  simt::clear_calls();
  simt::set_cudnn_heuristic(simt::Heuristic::unsupported);
  const Trained own = train_cnn("sim");
  simt::set_cudnn_heuristic(simt::Heuristic::normal);
  EXPECT_EQ(simt::calls("cudnnBackendExecute"), 0u);
  expect_close(own, library);
}

// The budget of kernels: a change that adds a launch to a step has to say so here.
TEST_F(CudaTraining, LaunchesPerStepStayInTheirBudget) {
  const auto launches = [](const Model& model) {
    int sum = 0;
    const auto plan = nlohmann::json::parse(model.plan({.batch_size = 32}).json);
    for (const auto& step : plan["steps"]) sum += step["launches"].get<int>();
    EXPECT_GT(sum, 0);
    return sum;
  };
  Sequential ffn({Input({10}), Dense(64, {.activation = relu}), Dense(64, {.activation = relu}),
                  Dense(1, {.activation = sigmoid})},
                 {.device = "sim"});
  ffn.compile({.optimizer = Adam(), .loss = BinaryCrossentropy(), .metrics = {accuracy}});
  EXPECT_LE(launches(ffn), 7);
  Sequential cnn({Input({28, 28, 1}), Conv2D(32, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}),
                  Conv2D(64, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}), Flatten(),
                  Dense(64, {.activation = relu}), Dense(10, {.activation = softmax})},
                 {.device = "sim"});
  cnn.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy(), .metrics = {accuracy}});
  EXPECT_LE(launches(cnn), 19);
}

}  // namespace
}  // namespace gpunn
