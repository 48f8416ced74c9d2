// Small models with samples, each to be trained by fit() and compared between devices.
#pragma once

#include <functional>
#include <gpunn/gpunn.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace gpunn::tests {

struct FitModel {
  std::string name;
  std::function<Model(const ModelOptions&)> make;
  std::function<DatasetPtr()> samples;
  Loss loss;
  Optimizer optimizer = Adam({.learning_rate = 0.01});
  std::string planned = {};  // what the plan of a GPU's training step must name

  friend std::ostream& operator<<(std::ostream& out, const FitModel& model) { return out << model.name; }
};

inline constexpr std::int64_t kFitBatch = 8;
inline constexpr double kFitValidation = 0.25;  // of the samples; the others are no multiple of the batch

std::vector<FitModel> fit_models();

}  // namespace gpunn::tests
