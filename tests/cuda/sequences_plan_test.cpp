// What the plans of networks of sequences say on CUDA devices.

#include <gtest/gtest.h>

#include <gpunn/gpunn.hpp>
#include <nlohmann/json.hpp>

#include "tests/cuda/devices.hpp"

namespace gpunn {
namespace {

constexpr std::int64_t kVocabulary = 50;

class CudaSequencesPlan : public ::testing::Test {
 protected:
  void SetUp() override { register_devices(); }
};

// Name and reason of the first recurrent layer.
std::string path(const std::string& device, const Layer& layer) {
  Sequential model({Input({7}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 8), layer, Dense(1)},
                   {.device = device});
  model.compile({.optimizer = Adam(), .loss = MeanSquaredError()});
  const auto plan = nlohmann::json::parse(model.plan({.batch_size = 8}).json);
  std::string first;
  for (const auto& step : plan["steps"]) {
    if (step["op"].get<std::string>().rfind("recurrent", 0) != 0) continue;
    const std::string text =
        step["implementation"].get<std::string>() + ": " + step["why"].get<std::string>();
    if (first.empty()) first = text;
    EXPECT_EQ(text, first) << "forward and backward take one path";
  }
  return first;
}

TEST_F(CudaSequencesPlan, ThePlanNamesThePathAndWhy) {
  const std::string own = "; products by own gemm";
  EXPECT_EQ(
      path("sim-own", GRU(64)),
      "whole sequence: 64 units of 8 features, at most 64: no product of its own on sm_90; the embedding's "
      "rows are read where they are needed");
  EXPECT_EQ(path("sim-own", GRU(65)),
            "whole sequence: 65 units, at most 128: weights stay in registers on sm_90" + own);
  EXPECT_EQ(path("sim-own", GRU(129)),
            "per step: 129 units, more than 128; libraries are switched off" + own);
  EXPECT_EQ(path("sim-own", GRU(8, {.reset_after = false})),
            "per step: the reset gate comes before the product" + own);
  EXPECT_EQ(path("sim-own", LSTM(8, {.recurrent_dropout = 0.5})), "per step: dropout of the state" + own);
  EXPECT_EQ(path("sim-own", LSTM(8, {.activation = relu})),
            "per step: relu and sigmoid, not tanh and sigmoid" + own);
  EXPECT_EQ(
      path("sim", LSTM(100)),
      "whole sequence: 100 units, at most 128: weights stay in registers on sm_90; products by cublaslt");
}

std::string planned_ops(Model& model, const std::string& of) {
  model.compile({.optimizer = Adam(), .loss = MeanSquaredError()});
  std::string ops;
  const auto plan = nlohmann::json::parse(model.plan({.batch_size = 8}).json);
  for (const auto& step : plan["steps"]) {
    const auto op = step["op"].get<std::string>();
    if (op == of || op == "dropout_mask") ops += op + " ";
  }
  return ops;
}

// A recurrent layer looks its rows up and draws its mask itself where it reads x in the launch of its steps,
// and nobody else needs what was looked up.
TEST_F(CudaSequencesPlan, EmbeddingsAndMasksAreMadeWhereTheyAreRead) {
  const auto ops = [&](const Layer& layer, const std::string& device = "sim") {
    Sequential model({Input({7}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 8), layer, Dense(1)},
                     {.device = device});
    return planned_ops(model, "embedding");
  };
  EXPECT_EQ(ops(GRU(8, {.dropout = 0.1})), "");
  EXPECT_EQ(ops(Bidirectional(LSTM(8, {.dropout = 0.1}))), "") << "each direction looks up by itself";
  EXPECT_EQ(ops(GRU(65, {.dropout = 0.1})), "embedding dropout_mask ") << "x has a product of its own";
  EXPECT_EQ(ops(GRU(8, {.dropout = 0.1, .recurrent_dropout = 0.1})), "embedding dropout_mask dropout_mask ");
  EXPECT_EQ(ops(GRU(8, {.dropout = 0.1}), "cpu"), "embedding dropout_mask ");

  const Symbolic x = Input({7}, {.dtype = Dtype::i32}), rows = Embedding(kVocabulary, 8)(x);
  Model shared({x}, {Dense(1)(Concatenate()({GRU(8)(rows), GlobalAveragePooling1D()(rows)}))},
               {.device = "sim"});
  EXPECT_EQ(planned_ops(shared, "embedding"), "embedding ") << "the pool reads the rows, too";
}

// The budget of kernels of the network of the reviews: a change that adds a launch has to say so here.
TEST_F(CudaSequencesPlan, LaunchesPerStepStayInTheirBudget) {
  Sequential model({Input({100}, {.dtype = Dtype::i32}), Embedding(10000, 64),
                    GRU(64, {.dropout = 0.1, .return_sequences = true}), GRU(64, {.dropout = 0.1}),
                    Dense(64, {.activation = relu}), Dense(1, {.activation = sigmoid})},
                   {.device = "sim"});
  model.compile({.optimizer = Adam(), .loss = BinaryCrossentropy(), .metrics = {accuracy}});
  int launches = 0;
  std::string steps;
  const auto plan = nlohmann::json::parse(model.plan({.batch_size = 32}).json);
  for (const auto& step : plan["steps"]) {
    launches += step["launches"].get<int>();
    steps += step["op"].get<std::string>() + " of " + step["layer"].get<std::string>() + ": " +
             step["launches"].dump() + ", " + step["implementation"].get<std::string>() + "\n";
  }
  EXPECT_LE(launches, 12) << steps;
}

}  // namespace
}  // namespace gpunn
