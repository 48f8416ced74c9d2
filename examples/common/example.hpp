// What the example trainers share: their flags, training with a progress bar, Ctrl-C, and how they end.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong or missing data, 130 interrupted (the model is saved
// then, too).
#pragma once

#include <gpunn/gpunn.hpp>

#include <cstdint>
#include <functional>
#include <string>

namespace example {

struct Flags {
  int epochs = 10;
  std::int64_t batch_size = 32;
  double learning_rate = 0.001;
  std::string device = "auto";
  int threads = 0;
  std::uint64_t seed = 0;
  std::string data;
  std::string save;
  bool json = false;
  bool summary = false;
  bool plan = false;

  gpunn::ModelOptions model() const { return {.device = device, .threads = threads, .seed = seed}; }
};

struct About {
  std::string name;
  std::string description;
  Flags defaults;
};

// Reads the flags, calls `body`, and turns what it throws into a message and an exit code.
int run(int argc, char** argv, const About& about, const std::function<int(const Flags&)>& body);

// Prints what --summary and --plan ask for, trains, evaluates, saves and reports. Returns the exit code.
int train(gpunn::Model& model, const gpunn::DatasetPtr& train, const gpunn::DatasetPtr& test,
          const Flags& flags);

}  // namespace example
