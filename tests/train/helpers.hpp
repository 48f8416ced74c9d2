// Small models and data for the tests of training.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "gpunn/gpunn.hpp"
#include "tests/support/files.hpp"
#include "tests/support/unresident.hpp"

namespace gpunn {

// Ten features from -1 to 1; the label is 1 where x0 + x1 x2 > 0. Element i depends on i alone.
struct Table {
  Tensor x, y;
  DatasetPtr dataset() const { return std::make_shared<TensorDataset>(x, y); }
};

inline Table table(std::int64_t rows) {
  Table t{Tensor(Shape{rows, 10}), Tensor(Shape{rows, 1})};
  const auto x = t.x.data<float>();
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 2 * uniform01({.seed = 5}, i) - 1;
  for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
    t.y.data<float>()[r] = x[10 * r] + x[10 * r + 1] * x[10 * r + 2] > 0 ? 1.0f : 0.0f;
  }
  return t;
}

inline Sequential ffn(ModelOptions options = {}) {
  options.device = "cpu";
  return Sequential({Input({10}), Dense(16, {.activation = relu}), Dense(8, {.activation = gpunn::tanh}),
                     Dense(1, {.activation = sigmoid})},
                    options);
}

inline TrainingOptions binary_training() {
  return {.optimizer = Adam({.learning_rate = 0.01}), .loss = BinaryCrossentropy(), .metrics = {accuracy}};
}

inline Sequential compiled_ffn(ModelOptions options = {}) {
  Sequential model = ffn(options);
  model.compile(binary_training());
  return model;
}

inline std::vector<float> elements(const Tensor& t) {
  const auto values = t.data<float>();
  return {values.begin(), values.end()};
}

// All weights, one after the other.
inline std::vector<float> weights(const Model& model) {
  std::vector<float> all;
  for (const std::string& name : model.weight_names()) {
    for (const float w : model.weight(name).data<float>()) all.push_back(w);
  }
  return all;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline FitOptions quietly(FitOptions options) {
  options.verbose = Verbose::silent;
  return options;
}

}  // namespace gpunn
