// Twenty steps of the example networks from Keras's weights and batches, through train_on_batch(): the losses
// are Keras's. The formulas of weights and batches are stated at the head of training.py.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include <gtest/gtest.h>

#include "gpunn/gpunn.hpp"
#include "tests/support/golden.hpp"

namespace gpunn {
namespace {

constexpr int kSteps = 20;

double u(std::uint32_t stream, std::int64_t i) {
  std::uint32_t h = static_cast<std::uint32_t>(i) + 0x9e3779b9u * (stream + 1);
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  h ^= h >> 16;
  return (h >> 8) / 16777216.0;
}

void set_weight(const std::string& name, Tensor weight, std::uint32_t number) {
  const Shape& shape = weight.shape();
  const bool embeddings = name.ends_with("/embeddings");
  if (name.ends_with("/bias")) {
    std::ranges::fill(weight.data<float>(), 0.0f);
    return;
  }
  double receptive = 1;
  for (int axis = 0; axis + 2 < shape.rank(); ++axis) receptive *= static_cast<double>(shape[axis]);
  const double glorot = std::sqrt(6 / (receptive * static_cast<double>(shape[-2] + shape[-1])));
  const double scale = embeddings ? 0.05 : glorot;
  const auto values = weight.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>((2 * u(number, static_cast<std::int64_t>(i)) - 1) * scale);
}

Tensor floats(std::int64_t row, const Shape& shape, double low, double high) {
  Tensor x(shape);
  const std::int64_t start = row * (x.elements() / shape[0]);
  const auto values = x.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(u(100, start + static_cast<std::int64_t>(i)) * (high - low) + low);
  return x;
}

struct Batch {
  Tensor x, y;
};

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

struct Tokens {
  std::int64_t batch, time, vocabulary;
  bool masked;

  Batch operator()(std::int64_t row) const {
    Batch made{Tensor({batch, time}, Dtype::i32), Tensor({batch, 1})};
    for (std::int64_t n = 0; n < batch; ++n) {
      const auto ids = made.x.data<std::int32_t>().subspan(static_cast<std::size_t>(n * time));
      for (std::int64_t t = 0; t < time; ++t) {
        ids[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(
            std::floor(u(101, (row + n) * time + t) * static_cast<double>(vocabulary)));
      }
      made.y.data<float>()[static_cast<std::size_t>(n)] = 2 * ids[0] < vocabulary ? 1.0f : 0.0f;
      const double padding = masked ? std::floor(u(102, row + n) * static_cast<double>(time)) : 0;
      for (auto t = time - static_cast<std::int64_t>(padding); t < time; ++t)
        ids[static_cast<std::size_t>(t)] = 0;
    }
    return made;
  }
};

template <class BatchAt>
void expect_same_training(Model& model, const std::string& name, Loss loss, const BatchAt& batch_at,
                          std::int64_t batch) {
  const golden::Family family("training");
  const auto names = model.weight_names();
  ASSERT_EQ(names.size(), family.attributes(name)["weights"].size());
  for (std::size_t k = 0; k < names.size(); ++k) {
    EXPECT_EQ(names[k], family.attributes(name)["weights"][k]);
    set_weight(names[k], model.weight(names[k]), static_cast<std::uint32_t>(k));
  }
  model.compile({.optimizer = Adam(), .loss = loss});

  const auto losses = family[name + "/losses"].data<double>();
  for (int step = 0; step < kSteps; ++step) {
    const auto [x, y] = batch_at(step * batch);
    EXPECT_NEAR(model.train_on_batch(x, y)["loss"] / losses[static_cast<std::size_t>(step)], 1, 1e-4)
        << "step " << step;
  }
  const auto norms = family[name + "/final_norms"].data<double>();
  for (std::size_t k = 0; k < names.size(); ++k) {
    double norm = 0;
    for (const float w : model.weight(names[k]).data<float>()) norm += double{w} * w;
    EXPECT_NEAR(std::sqrt(norm) / norms[k], 1, 1e-4) << names[k];
    const Tensor* final = family.find(name + "/final:" + std::to_string(k));
    if (final != nullptr) {
      EXPECT_LT(golden::relative_norm(model.weight(names[k]), *final), 1e-3) << names[k];
    }
  }
}

TEST(GoldenTraining, FeedForward) {
  Sequential model({Input({10}), Dense(64, {.activation = relu}), Dense(64, {.activation = relu}),
                    Dense(1, {.activation = sigmoid})});
  expect_same_training(model, "ffn", BinaryCrossentropy(), ffn_batch, 32);
}

TEST(GoldenTraining, Convolutional) {
  Sequential model({Input({28, 28, 1}), Conv2D(32, 3, {.activation = relu}), MaxPooling2D(),
                    Conv2D(64, 3, {.activation = relu}), MaxPooling2D(), Flatten(),
                    Dense(64, {.activation = relu}), Dense(10, {.activation = softmax})});
  expect_same_training(model, "cnn", SparseCategoricalCrossentropy(), cnn_batch, 8);
}

// The small networks of tokens, with two layers made by recurrent(units, return_sequences).
template <class Recurrent>
void expect_same_sequences(const std::string& name, const Recurrent& recurrent) {
  for (const bool masked : {false, true}) {
    SCOPED_TRACE(masked ? "masked" : "not masked");
    Sequential model({Input({12}, {.dtype = Dtype::i32}), Embedding(50, 16, {.mask_zero = masked}),
                      recurrent(12, true), recurrent(12, false), Dense(8, {.activation = relu}),
                      Dense(1, {.activation = sigmoid})});
    expect_same_training(model, name + (masked ? "_masked" : ""), BinaryCrossentropy(),
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
  expect_same_training(model, "reviews", BinaryCrossentropy(), same_batch, 32);
}

}  // namespace
}  // namespace gpunn
