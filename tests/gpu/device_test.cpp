// The backend on a real GPU, through the library as users load it. Without one every test says SKIPPED and
// why.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "tests/gpu/on_device.hpp"
#include "tests/support/same_bits.hpp"

namespace gpunn::tests {
namespace {

class Gpu : public OnDevice {
 protected:
  static void expect_close(const Trained& run, const Trained& reference) {
    ASSERT_EQ(run.losses.size(), reference.losses.size());
    for (std::size_t i = 0; i < run.losses.size(); ++i)
      EXPECT_NEAR(run.losses[i], reference.losses[i], 1e-5 * std::abs(reference.losses[i])) << "step " << i;
  }
};

TEST_F(Gpu, FeedForwardFollowsTheCpu) {
  expect_close(trace_ffn("cuda", 20), trace_ffn("cpu", 20));
}

TEST_F(Gpu, ConvolutionalFollowsTheCpu) {
  expect_close(trace_cnn("cuda", 20), trace_cnn("cpu", 20));
}

TEST_F(Gpu, TwoRunsAreTheSameBits) {
  expect_same_bits(trace_ffn("cuda", 20), trace_ffn("cuda", 20));
  expect_same_bits(trace_cnn("cuda", 20), trace_cnn("cuda", 20));
}

// cuDNN's RNN beside our steps: the order of its gates, its biases, its weights' layout and its gradients.
TEST_F(Gpu, LargeRecurrentLayersByCudnnFollowOurStepsAndTheCpu) {
  const auto train = [](const std::string& device, bool cudnn) {
    if (cudnn) {
      setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:2", 1);
    } else {
      unsetenv("CUBLAS_WORKSPACE_CONFIG");
    }
    Sequential model({Input({9, 12}), GRU(160, {.return_sequences = true}),
                      LSTM(200, {.return_sequences = true, .go_backwards = true}), SimpleRNN(130), Dense(2)},
                     on(device));
    Trained run =
        trace(model, MeanSquaredError(), uniform(Shape{32, 9, 12}, 3), uniform(Shape{32, 2}, 4), 20);
    const std::string plan = model.plan({.batch_size = kBatch}).text;
    if (device == "cuda") {
      EXPECT_EQ(plan.find("cudnn rnn") != std::string::npos, cudnn) << plan;
    }
    return run;
  };
  const Trained by_library = train("cuda", true);
  expect_close(by_library, train("cuda", false));
  expect_close(by_library, train("cpu", false));
  expect_same_bits(by_library, train("cuda", true));
  unsetenv("CUBLAS_WORKSPACE_CONFIG");
}

// cuBLASLt and cuDNN do not promise that their relu keeps a NaN: one that is swallowed would train on
// unnoticed.
TEST_F(Gpu, ANotANumberInTheInputReachesTheLoss) {
  Sequential model({Input({64}), Dense(64, {.activation = relu}), Dense(10, {.activation = softmax})},
                   on("cuda"));
  model.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy()});
  Tensor x = uniform(Shape{32, 64}, 1);
  x.data<float>()[5] = std::nanf("");
  EXPECT_TRUE(std::isnan(model.train_on_batch(x, Tensor(Shape{32}, Dtype::i32))["loss"]));
}

}  // namespace
}  // namespace gpunn::tests
