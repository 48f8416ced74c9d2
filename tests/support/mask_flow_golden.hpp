// Networks whose layers merge masks, hand on several or compute with them, as Keras does:
// tests/golden/mask_flow.py.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "gpunn/gpunn.hpp"
#include "tests/support/golden.hpp"

namespace gpunn::golden {

inline Symbolic flow_through(const std::string& name, const Symbolic& a, const Symbolic& b) {
  if (name == "add") return Add()({a, b});
  if (name == "concatenate_features") return Concatenate()({a, b});
  if (name.starts_with("concatenate_steps")) return Concatenate({.axis = 1})({a, b});
  if (name == "bidirectional") {
    const Layer inner = GRU(3, {.return_sequences = true});
    return Bidirectional(inner, {.merge_mode = MergeMode::none, .name = "both"}).call({a}).at(1);
  }
  if (name == "batch_normalization")
    return BatchNormalization({.name = "norm"})(Dense(3, {.name = "before"})(a));
  throw UsageError("no network for the case " + name);
}

inline void expect_mask_flow_case(const Family& family, const std::string& name, const std::string& device) {
  SCOPED_TRACE(name + " on " + device);
  const Symbolic x = Input({5, 3}), y = Input({5, 3});
  const Symbolic marked = family.attributes(name)["both"] ? Masking()(y) : y;
  const Symbolic seen = flow_through(name, Masking()(x), marked);
  Model model({x, y}, {Dense(2, {.name = "dense"})(GRU(4, {.name = "gru"})(seen))},
              {.device = device, .threads = 2});
  for (const auto& [weight, values] : family.weights(name)) {
    const auto from = values.data<float>();
    std::copy(from.begin(), from.end(), model.weight(weight).data<float>().begin());
  }
  const auto data = std::make_shared<TensorDataset>(TensorDataset::Columns{
      .inputs = family.list(name + "/input"), .targets = {family[name + "/target"].to(Dtype::f32)}});
  EXPECT_LT(relative_norm(model.predict(data, {.batch_size = 7}).at(0), family[name + "/output"]), 1e-5);

  model.compile({.optimizer = SGD({.learning_rate = 0.5}), .loss = MeanSquaredError()});
  const History history =
      model.fit(data, {.epochs = 3, .batch_size = 7, .shuffle = false, .verbose = Verbose::silent});
  const auto losses = family[name + "/losses"].data<double>();
  for (std::size_t epoch = 0; epoch < 3; ++epoch)
    EXPECT_NEAR(history["loss"][epoch] / losses[epoch], 1, 1e-5) << "epoch " << epoch;
  for (const auto& [weight, values] : family.weights(name)) {
    EXPECT_LT(relative_norm(model.weight(weight), family[name + "/after:" + weight]), 1e-5) << weight;
  }
}

inline void expect_mask_flow(const std::string& device) {
  const Family family("mask_flow");
  EXPECT_EQ(family.cases().size(), 6U);
  for (const std::string& name : family.cases()) expect_mask_flow_case(family, name, device);
}

}  // namespace gpunn::golden
