// Twenty training steps of whole networks against Keras in float64: tests/golden/training.py states the
// formulas of weights and batches.

#include <gtest/gtest.h>

#include <cmath>

#include "src/nn/initializers.hpp"
#include "tests/support/golden.hpp"
#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

double u(std::uint32_t stream, std::uint64_t index) {
  std::uint32_t h = static_cast<std::uint32_t>(index) + 0x9e3779b9u * (stream + 1);
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= h >> 13;
  h *= 0xc2b2ae35u;
  h ^= h >> 16;
  return static_cast<double>(h >> 8) / 0x1p24;
}

void set_weights(Model& model) {
  std::uint32_t number = 0;
  for (const std::string& name : model.weight_names()) {
    Tensor weight = model.weight(name);
    const nn::Fans fans = nn::fans(weight.shape());
    const bool bias = name.ends_with("bias");
    const double scale = bias ? 0 : std::sqrt(6 / (fans.in + fans.out));
    const auto values = weight.data<float>();
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>((2 * u(number, i) - 1) * scale);
    ++number;
  }
}

Tensor floats(std::int64_t first_row, const Shape& shape, double low, double high) {
  Tensor x(shape);
  const auto values = x.data<float>();
  const std::uint64_t start = static_cast<std::uint64_t>(first_row * (x.elements() / shape[0]));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(u(100, start + i) * (high - low) + low);
  }
  return x;
}

Table ffn_batch(std::int64_t step) {
  constexpr std::int64_t kBatch = 32;
  Table batch{floats(step * kBatch, {kBatch, 10}, -1, 1), Tensor(Shape{kBatch, 1})};
  const auto x = batch.x.data<float>();
  for (std::size_t r = 0; r < kBatch; ++r) {
    const double rule = static_cast<double>(x[10 * r]) + static_cast<double>(x[10 * r + 1]) * x[10 * r + 2];
    batch.y.data<float>()[r] = rule > 0 ? 1.0f : 0.0f;
  }
  return batch;
}

Table cnn_batch(std::int64_t step) {
  constexpr std::int64_t kBatch = 8;
  Table batch{floats(step * kBatch, {kBatch, 28, 28, 1}, 0, 0.5), Tensor(Shape{kBatch}, Dtype::i32)};
  for (std::int64_t r = 0; r < kBatch; ++r) {
    const std::int64_t label = (step * kBatch + r) * 7 % 10;
    batch.y.data<std::int32_t>()[static_cast<std::size_t>(r)] = static_cast<std::int32_t>(label);
    float* image = batch.x.data<float>().data() + r * 784;
    for (std::int64_t p = 2 * label * 28; p < (2 * label + 8) * 28; ++p) image[p] += 0.5f;
  }
  return batch;
}

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double x : values) sum += x * x;
  return std::sqrt(sum);
}

// Losses within 1e-4 relative, final weights by norm, and where the file has them in full, one by one.
void expect_training(const std::string& network, Model& model, Table (*batch)(std::int64_t)) {
  const golden::Family file("training");
  const auto golden = [&](const std::string& name) {
    return file.find(network + "/" + name)->data<double>();
  };
  set_weights(model);
  const auto losses = golden("losses");
  for (std::int64_t step = 0; step < std::ssize(losses); ++step) {
    const Table data = batch(step);
    const double loss = model.train_on_batch(data.x, data.y)["loss"];
    const double want = losses[static_cast<std::size_t>(step)];
    EXPECT_NEAR(loss / want, 1, 1e-4) << network << " step " << step;
  }
  const auto names = model.weight_names();
  for (std::size_t k = 0; k < names.size(); ++k) {
    std::vector<double> weight;
    for (const float w : model.weight(names[k]).data<float>()) weight.push_back(w);
    EXPECT_NEAR(norm(weight) / golden("final_norms")[k], 1, 1e-4) << names[k];
    const std::string full = network + "/final:" + std::to_string(k);
    if (file.find(full) == nullptr) continue;
    const auto want = file[full].data<double>();
    std::vector<double> difference, reference(want.begin(), want.end());
    for (std::size_t i = 0; i < weight.size(); ++i) difference.push_back(weight[i] - want[i]);
    EXPECT_LT(norm(difference) / norm(reference), 1e-3) << names[k];
  }
}

TEST(GoldenTraining, FeedForward) {
  Sequential model({Input({10}), Dense(64, {.activation = relu}), Dense(64, {.activation = relu}),
                    Dense(1, {.activation = sigmoid})},
                   {.device = "cpu"});
  model.compile({.optimizer = Adam(), .loss = BinaryCrossentropy()});
  expect_training("ffn", model, ffn_batch);
}

TEST(GoldenTraining, Convolutional) {
  Sequential model({Input({28, 28, 1}), Conv2D(32, 3, {.activation = relu}), MaxPooling2D(),
                    Conv2D(64, 3, {.activation = relu}), MaxPooling2D(), Flatten(),
                    Dense(64, {.activation = relu}), Dense(10, {.activation = softmax})},
                   {.device = "cpu"});
  model.compile({.optimizer = Adam(), .loss = SparseCategoricalCrossentropy()});
  expect_training("cnn", model, cnn_batch);
}

}  // namespace
}  // namespace gpunn
