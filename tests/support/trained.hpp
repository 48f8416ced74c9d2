// A model trained for some steps: what tests compare between devices.
#pragma once

#include <gpunn/gpunn.hpp>

#include <string>
#include <utility>
#include <vector>

namespace gpunn {

struct Trained {
  std::vector<double> losses;  // of each step
  std::vector<float> weights;  // weights_of()
};

// All of them, one after the other.
inline std::vector<float> weights_of(const Model& model) {
  std::vector<float> all;
  for (const std::string& name : model.weight_names()) {
    const Tensor weight = model.weight(name).clone();
    const auto values = std::as_const(weight).data<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// Trains a compiled model for `steps` batches of `batch` rows, over x and y again and again.
inline Trained train_steps(Model& model, const Tensor& x, const Tensor& y, std::int64_t batch, int steps) {
  Trained run;
  for (int step = 0; step < steps; ++step) {
    const std::int64_t begin = step * batch % x.shape()[0];
    run.losses.push_back(
        model.train_on_batch(x.rows(begin, begin + batch), y.rows(begin, begin + batch))["loss"]);
  }
  run.weights = weights_of(model);
  return run;
}

}  // namespace gpunn
