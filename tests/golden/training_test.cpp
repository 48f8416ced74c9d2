// Twenty steps of the example networks and of small ones from Keras's weights and batches:
// tests/support/training_golden.hpp.
#include <cstdint>

#include <gtest/gtest.h>

#include "tests/support/training_golden.hpp"

namespace gpunn::golden {
namespace {

Tensor floats(std::int64_t row, const Shape& shape, double low, double high) {
  Tensor x(shape);
  const std::int64_t start = row * (x.elements() / shape[0]);
  const auto values = x.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(u(100, start + static_cast<std::int64_t>(i)) * (high - low) + low);
  return x;
}

Batch ffn_batch(std::int64_t row) {
  Batch batch{floats(row, {32, 10}, -1.0, 1.0), Tensor({32, 1})};
  for (std::size_t n = 0; n < 32; ++n) {
    const auto x = batch.x.data<float>().subspan(10 * n, 10);
    batch.y.data<float>()[n] = double{x[0]} + double{x[1]} * x[2] > 0 ? 1.0f : 0.0f;
  }
  return batch;
}

Batch cnn_batch(std::int64_t row) {
  Batch batch{floats(row, {8, 28, 28, 1}, 0.0, 0.5), Tensor({8}, Dtype::i32)};
  for (std::int64_t n = 0; n < 8; ++n) {
    const auto label = static_cast<std::int32_t>((row + n) * 7 % 10);
    batch.y.data<std::int32_t>()[static_cast<std::size_t>(n)] = label;
    const auto lines =
        batch.x.data<float>().subspan(static_cast<std::size_t>(n * 784 + 2 * label * 28), 8 * 28);
    for (float& pixel : lines) pixel = static_cast<float>(double{pixel} + 0.5);
  }
  return batch;
}

TEST(GoldenTraining, FeedForward) {
  Sequential model({Input({10}), Dense(64, {.activation = relu}), Dense(64, {.activation = relu}),
                    Dense(1, {.activation = sigmoid})});
  expect_same_training(model, Family("training"), "ffn", BinaryCrossentropy(), ffn_batch, 32);
}

TEST(GoldenTraining, Convolutional) {
  Sequential model({Input({28, 28, 1}), Conv2D(32, 3, {.activation = relu}), MaxPooling2D(),
                    Conv2D(64, 3, {.activation = relu}), MaxPooling2D(), Flatten(),
                    Dense(64, {.activation = relu}), Dense(10, {.activation = softmax})});
  expect_same_training(model, Family("training"), "cnn", SparseCategoricalCrossentropy(), cnn_batch, 8);
}

// The small networks of tokens, with two layers made by recurrent(units, return_sequences).
template <class Recurrent>
void expect_same_sequences(const std::string& name, const Recurrent& recurrent) {
  for (const bool masked : {false, true}) {
    SCOPED_TRACE(masked ? "masked" : "not masked");
    Sequential model({Input({12}, {.dtype = Dtype::i32}), Embedding(50, 16, {.mask_zero = masked}),
                      recurrent(12, true), recurrent(12, false), Dense(8, {.activation = relu}),
                      Dense(1, {.activation = sigmoid})});
    expect_same_training(model, Family("training"), name + (masked ? "_masked" : ""), BinaryCrossentropy(),
                         Tokens{8, 12, 50, masked}, 8);
  }
}

TEST(GoldenTraining, SimpleRnn) {
  expect_same_sequences("simple_rnn", [](std::int64_t units, bool sequences) {
    return SimpleRNN(units, {.return_sequences = sequences});
  });
}

TEST(GoldenTraining, Gru) {
  expect_same_sequences(
      "gru", [](std::int64_t units, bool sequences) { return GRU(units, {.return_sequences = sequences}); });
}

TEST(GoldenTraining, Lstm) {
  expect_same_sequences("lstm", [](std::int64_t units, bool sequences) {
    return LSTM(units, {.return_sequences = sequences});
  });
}

TEST(GoldenTraining, Reviews) {
  Sequential model({Input({100}, {.dtype = Dtype::i32}), Embedding(10000, 64),
                    GRU(64, {.return_sequences = true}), GRU(64), Dense(64, {.activation = relu}),
                    Dense(1, {.activation = sigmoid})});
  // One batch again and again, or so few steps would learn nothing.
  const auto same_batch = [](std::int64_t) { return Tokens{32, 100, 10000, false}(0); };
  expect_same_training(model, Family("training"), "reviews", BinaryCrossentropy(), same_batch, 32);
}

class GoldenTokenTraining : public ::testing::TestWithParam<TokenNetwork> {};

TEST_P(GoldenTokenTraining, LossesAreKeras) {
  expect_token_training(GetParam(), "cpu");
}

INSTANTIATE_TEST_SUITE_P(Networks, GoldenTokenTraining, ::testing::ValuesIn(kTokenNetworks),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace gpunn::golden
