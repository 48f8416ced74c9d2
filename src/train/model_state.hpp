// What a Model holds.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "gpunn/model.hpp"
#include "src/core/thread_pool.hpp"
#include "src/nn/network.hpp"
#include "src/train/step.hpp"

namespace gpunn {

struct ModelState {
  // Declares the variables; allocates nothing. Throws UsageError and DeviceError for the options.
  ModelState(nn::Network net, ModelOptions opts, std::string kind_name, SourceLocation where);

  nn::Network network;
  ModelOptions options;  // device resolved, name filled in
  std::string kind;      // "Sequential" or "Functional"
  VariableStore variables;
  std::optional<TrainingOptions> training;
  bool inference_only = false;  // a clone: it must not touch what it shares

  double learning_rate = 0;
  std::int64_t step = 0;   // optimizer steps done
  std::int64_t epoch = 0;  // epochs done: names the shuffle of the next, so that fit() can be called again
  bool stop = false;

  void initialize();                          // allocates the weights and gives them their first values
  void set_training(TrainingOptions chosen);  // as if never trained, but for the weights
  void allocate_training();                   // gradients and the optimizer's slots
  int threads() const;
  Policy policy() const { return {options.allow_tf32, options.deterministic, options.strict}; }
  // The step for `key`, planned and bound when it is first asked for.
  Executable& executable(const train::StepKey& key);
  // Throws UsageError, naming `function`, unless the model can be trained.
  const TrainingOptions& compiled(const char* function, SourceLocation where) const;

 private:
  std::unique_ptr<ThreadPool> pool_;  // made for the first step; outlives what is bound to it

 public:
  train::StepCache steps;
};

}  // namespace gpunn
