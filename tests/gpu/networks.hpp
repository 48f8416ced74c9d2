// The example networks, trained for some steps on a device: losses and weights, for comparison with another
// device.
#pragma once

#include <gpunn/gpunn.hpp>
#include <string>
#include <vector>

#include "tests/support/trained.hpp"

namespace gpunn::tests {

inline constexpr std::int64_t kBatch = 8;

inline Tensor uniform(const Shape& shape, std::uint32_t stream) {
  Tensor x(shape);
  const auto values = x.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = uniform01({.seed = 7, .stream = stream}, i);
  return x;
}

inline Trained trace(Sequential& model, const Loss& loss, const Tensor& x, const Tensor& y, int steps) {
  model.compile({.optimizer = Adam(), .loss = loss, .metrics = {accuracy}});
  return train_steps(model, x, y, kBatch, steps);
}

inline ModelOptions on(const std::string& device) {
  return {.device = device, .strict = true, .threads = 1};
}

inline Trained trace_ffn(const std::string& device, int steps) {
  Sequential model({Input({10}), Dense(64, {.activation = relu}), Dense(64, {.activation = relu}),
                    Dense(1, {.activation = sigmoid})},
                   on(device));
  Tensor y(Shape{32, 1});
  for (std::size_t i = 0; i < 32; ++i) y.data<float>()[i] = i % 3 == 0 ? 1.0f : 0.0f;
  return trace(model, BinaryCrossentropy(), uniform(Shape{32, 10}, 1), y, steps);
}

inline Trained trace_cnn(const std::string& device, int steps) {
  Sequential model({Input({28, 28, 1}), Conv2D(32, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}),
                    Conv2D(64, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}), Flatten(), Dropout(0.25),
                    Dense(64, {.activation = relu}), Dense(10, {.activation = softmax})},
                   on(device));
  Tensor y(Shape{32}, Dtype::i32);
  for (std::size_t i = 0; i < 32; ++i) y.data<std::int32_t>()[i] = static_cast<std::int32_t>(i % 10);
  return trace(model, SparseCategoricalCrossentropy(), uniform(Shape{32, 28, 28, 1}, 2), y, steps);
}

}  // namespace gpunn::tests
