// What a plan says of the example networks: it adds up, and the memory is close to the least that is
// possible.

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

using Json = nlohmann::json;

struct Example {
  const char* name;
  std::vector<Layer> layers;
  Loss loss;
};

std::vector<Example> examples() {
  const Loss binary = BinaryCrossentropy(), classes = SparseCategoricalCrossentropy();
  return {{"tabular_ffn",
           {Input({10}), Dense(64, {.activation = relu}), Dense(64, {.activation = relu}),
            Dense(1, {.activation = sigmoid})},
           binary},
          {"digits_cnn",
           {Input({28, 28, 1}), Conv2D(32, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}),
            Conv2D(64, {3, 3}, {.activation = relu}), MaxPooling2D({2, 2}), Flatten(),
            Dense(64, {.activation = relu}), Dense(10, {.activation = softmax})},
           classes},
          {"review_gru",
           {Input({100}, {.dtype = Dtype::i32}), Embedding(10000, 64),
            GRU(64, {.dropout = 0.1, .return_sequences = true}), GRU(64, {.dropout = 0.1}),
            Dense(64, {.activation = relu}), Dense(1, {.activation = sigmoid})},
           binary},
          {"char_rnn",
           {Input({100}, {.dtype = Dtype::i32}), Embedding(80, 32), LSTM(128, {.return_sequences = true}),
            Dense(80, {.activation = softmax})},
           classes}};
}

// The most bytes of `memory` that its listed tensors hold at any one time.
std::size_t most_alive(const Json& plan, const std::string& memory) {
  std::size_t most = 0;
  for (const Json& at : plan["tensors"]) {
    if (at["memory"] != memory) continue;
    std::size_t alive = 0;
    for (const Json& other : plan["tensors"]) {
      if (other["memory"] == memory && other["first"] <= at["first"] && at["first"] <= other["last"])
        alive += other["bytes"].get<std::size_t>();
    }
    most = std::max(most, alive);
  }
  return most;
}

TEST(PlanOfExamples, ListsAllOfItsMemoryAndWastesLittle) {
  for (const Example& example : examples()) {
    for (const int threads : {1, 2}) {
      SCOPED_TRACE(example.name);
      Sequential model(example.layers, {.device = "cpu", .threads = threads});
      model.compile({.optimizer = Adam(), .loss = example.loss, .metrics = {accuracy}});
      for (const char* mode : {"train", "evaluate", "predict"}) {
        const Json plan = Json::parse(model.plan({.mode = mode}).json);
        const Json& memory = plan["memory"];
        EXPECT_EQ(most_alive(plan, "shared"), memory["shared_arena_lower_bound"]);
        EXPECT_EQ(most_alive(plan, "per thread"), memory["thread_arena_lower_bound"]);
        EXPECT_LE(memory["shared_arena"], 1.1 * memory["shared_arena_lower_bound"].get<double>());
        EXPECT_LE(memory["thread_arena"], 1.1 * memory["thread_arena_lower_bound"].get<double>());
      }
    }
  }
}

TEST(PlanOfExamples, LayersAddUpAndLifetimesSayWhatTheyCount) {
  for (const Example& example : examples()) {
    SCOPED_TRACE(example.name);
    Sequential model(example.layers, {.device = "cpu"});
    model.compile({.optimizer = Adam(), .loss = example.loss, .metrics = {accuracy}});
    const StepPlan both = model.plan();
    const Json plan = Json::parse(both.json);
    double flops = 0, bytes = 0;
    std::size_t steps = 0;
    for (const Json& layer : plan["layers"]) {
      flops += layer["flops"].get<double>(), bytes += layer["bytes"].get<double>();
      steps += layer["steps"].get<std::size_t>();
      EXPECT_NE(both.text.find("\n  " + layer["layer"].get<std::string>() + " "), std::string::npos) << layer;
    }
    EXPECT_EQ(flops, plan["flops"]);
    EXPECT_EQ(bytes, plan["bytes"]);
    EXPECT_EQ(steps, plan["steps"].size());
    int regions = 0;
    for (const Json& step : plan["steps"]) regions = std::max(regions, step["region"].get<int>() + 1);
    for (const Json& tensor : plan["tensors"]) {
      const bool local = tensor["memory"] == "per thread";
      EXPECT_EQ(tensor["counted_in"], local ? "steps" : "regions");
      EXPECT_LE(tensor["last"], local ? static_cast<int>(steps) - 1 : regions) << tensor;
    }
  }
}

}  // namespace
}  // namespace gpunn
