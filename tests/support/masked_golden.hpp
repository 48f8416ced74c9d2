// Networks whose output has a mask, as Keras evaluates and trains them: tests/golden/masked.py.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "gpunn/gpunn.hpp"
#include "tests/support/golden.hpp"

namespace gpunn::golden {

inline Loss loss_named(const std::string& name) {
  if (name == "mean_squared_error") return MeanSquaredError();
  if (name == "categorical_crossentropy") return CategoricalCrossentropy();
  if (name == "sparse_categorical_crossentropy") return SparseCategoricalCrossentropy();
  return BinaryCrossentropy();
}

inline void expect_masked_case(const Family& family, const std::string& name, const std::string& device) {
  SCOPED_TRACE(name + " on " + device);
  const auto attributes = family.attributes(name);
  const std::string activation = attributes["activation"], loss = attributes["loss"];
  const ActivationFunction function = activation == "sigmoid"   ? sigmoid
                                      : activation == "softmax" ? softmax
                                                                : linear;
  Sequential model({Input({5, 3}), Masking(), GRU(4, {.return_sequences = true}),
                    TimeDistributed(Dense(3, {.activation = gpunn::tanh}), {.name = "dense"}),
                    Dense(attributes["units"], {.activation = function, .name = "dense_1"})},
                   {.device = device, .threads = 2});
  for (const auto& [weight, values] : family.weights(name)) {
    const auto from = values.data<float>();
    std::copy(from.begin(), from.end(), model.weight(weight).data<float>().begin());
  }
  model.compile({.optimizer = SGD({.learning_rate = 0.5}), .loss = loss_named(loss), .metrics = {accuracy}});
  const bool sparse = loss == "sparse_categorical_crossentropy";
  TensorDataset::Columns columns{.inputs = {family[name + "/input"].to(Dtype::f32)},
                                 .targets = {family[name + "/target"].to(sparse ? Dtype::i32 : Dtype::f32)}};
  if (attributes["weighted"]) columns.weights = family[name + "/sample_weight"].to(Dtype::f32);
  const auto data = std::make_shared<TensorDataset>(columns);

  const auto expect_evaluation = [&](const std::string& golden) {
    const auto want = family[name + golden].data<double>();
    const Logs logs = model.evaluate(data, {.batch_size = 3, .verbose = Verbose::silent});
    EXPECT_NEAR(logs["loss"] / want[0], 1, 1e-5);
    EXPECT_NEAR(logs["accuracy"], want[1], 1e-6);
  };
  expect_evaluation("/evaluated");
  const History history =
      model.fit(data, {.epochs = 3, .batch_size = 3, .shuffle = false, .verbose = Verbose::silent});
  const auto losses = family[name + "/losses"].data<double>();
  for (std::size_t epoch = 0; epoch < 3; ++epoch)
    EXPECT_NEAR(history["loss"][epoch] / losses[epoch], 1, 1e-5) << "epoch " << epoch;
  expect_evaluation("/evaluated_after");
  for (const auto& [weight, values] : family.weights(name)) {
    EXPECT_LT(relative_norm(model.weight(weight), family[name + "/after:" + weight]), 1e-5) << weight;
  }
}

inline void expect_masked_training(const std::string& device) {
  const Family family("masked");
  EXPECT_EQ(family.cases().size(), 10U);
  for (const std::string& name : family.cases()) expect_masked_case(family, name, device);
}

}  // namespace gpunn::golden
