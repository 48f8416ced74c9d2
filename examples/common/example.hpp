// What the example trainers share: their flags, training with a progress bar, Ctrl-C, and how they end.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong or missing data, 130 interrupted (the model is saved
// then, too).
#pragma once

#include <gpunn/gpunn.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace example {

struct Flags {
  int epochs = 10;
  std::int64_t batch_size = 32;
  double learning_rate = 0.001;
  std::string device = "auto";
  bool strict = false;
  bool tf32 = false;
  bool nondeterministic = false;
  int threads = 0;
  std::uint64_t seed = 0;
  std::string data;
  std::string save;
  bool json = false;
  bool summary = false;
  bool plan = false;
  bool plan_json = false;
  std::string plan_for = {};  // a device
  gpunn::TraceOptions trace = {};

  gpunn::ModelOptions model(const std::string& name = {}) const {
    return {.name = name,
            .device = device,
            .strict = strict,
            .threads = threads,
            .seed = seed,
            .allow_tf32 = tf32,
            .deterministic = !nondeterministic};
  }
};

// A flag that one example has beside those of all; what `value` points to holds the default.
struct Option {
  std::string name, help;
  std::variant<std::string*, double*, std::int64_t*, std::vector<std::string>*> value;
};

struct About {
  std::string name;
  std::string description;
  Flags defaults;
  std::vector<Option> options = {};
};

// Reads the flags, calls `body`, and turns what it throws into a message and an exit code.
int run(int argc, char** argv, const About& about, const std::function<int(const Flags&)>& body);

struct Parts {
  gpunn::DatasetPtr train, validation, test;
};
using Results = std::map<std::string, double>;

// Prints what --summary and --plan ask for, trains, saves, evaluates and reports. `also` joins the line of
// JSON; `vocabulary` is saved with the model, as vocabulary.hpp says. Returns the exit code.
int train(gpunn::Model& model, const Parts& data, const Flags& flags, const Results& also = {},
          const gpunn::TextVectorization* vocabulary = nullptr);
// The same for data without a validation part: the test part shows the progress.
int train(gpunn::Model& model, const gpunn::DatasetPtr& train, const gpunn::DatasetPtr& test,
          const Flags& flags);
// What train() does after training, for a model that was loaded.
int evaluate(gpunn::Model& model, const gpunn::DatasetPtr& test, const Results& also = {});

// What --json prints in its line at the end, one after the other; `json` is a value as JSON writes it.
void add_result(const std::string& name, const std::string& json);
std::string json_number(double value);             // null if it is not finite
std::string json_string(const std::string& text);  // of UTF-8

}  // namespace example
