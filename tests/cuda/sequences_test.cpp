// Networks of sequences trained through the public interface on the software CUDA device, beside the CPU
// backend.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <gpunn/gpunn.hpp>
#include <nlohmann/json.hpp>
#include <numeric>

#include "simt/simt.hpp"
#include "tests/cuda/devices.hpp"
#include "tests/support/mask_flow_golden.hpp"
#include "tests/support/masked_golden.hpp"
#include "tests/support/trained.hpp"

namespace gpunn {
namespace {

constexpr int kSteps = 12;
constexpr std::int64_t kBatch = 4, kSamples = 8, kVocabulary = 50;

// Token ids; the later rows padded with zeros behind.
Tensor tokens(std::int64_t steps) {
  Tensor x(Shape{kSamples, steps}, Dtype::i32);
  const auto ids = x.data<std::int32_t>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i) / steps, step = static_cast<std::int64_t>(i) % steps;
    const float u = uniform01({.seed = 5, .stream = 1}, i);
    ids[i] = step > 0 && step >= steps - row % 4 ? 0 : 1 + static_cast<std::int32_t>(u * (kVocabulary - 1));
  }
  return x;
}

Trained train(const std::string& device, std::int64_t steps, const std::vector<Layer>& layers) {
  std::vector<Layer> all{Input({steps}, {.dtype = Dtype::i32})};
  all.insert(all.end(), layers.begin(), layers.end());
  Sequential model(all, {.device = device, .threads = 1});
  model.compile({.optimizer = Adam(), .loss = BinaryCrossentropy()});
  Tensor y(Shape{kSamples, 1});
  for (std::size_t i = 0; i < kSamples; ++i) y.data<float>()[i] = i % 3 == 0 ? 1.0f : 0.0f;
  return train_steps(model, tokens(steps), y, kBatch, kSteps);
}

using Layers = std::function<std::vector<Layer>()>;

std::vector<Layer> reviews(std::int64_t units = 16) {
  return {Embedding(kVocabulary, 8), GRU(units, {.dropout = 0.1, .return_sequences = true}),
          GRU(units, {.dropout = 0.1}), Dense(8, {.activation = relu}), Dense(1, {.activation = sigmoid})};
}

void expect_close(const Trained& run, const Trained& reference) {
  ASSERT_EQ(run.losses.size(), reference.losses.size());
  for (std::size_t i = 0; i < run.losses.size(); ++i) {
    EXPECT_NEAR(run.losses[i], reference.losses[i], 1e-5 * std::abs(reference.losses[i])) << "step " << i;
  }
  const auto pass = [&](std::size_t from) {
    return std::accumulate(&run.losses[from], &run.losses[from] + 2, 0.0);
  };
  EXPECT_LT(pass(kSteps - 2), pass(0)) << "it does not learn";
}

void expect_same_bits(const Trained& a, const Trained& b) {
  EXPECT_EQ(a.losses, b.losses);
  ASSERT_EQ(a.weights.size(), b.weights.size());
  EXPECT_EQ(std::memcmp(a.weights.data(), b.weights.data(), a.weights.size() * sizeof(float)), 0);
}

class CudaSequences : public ::testing::Test {
 protected:
  void SetUp() override {
    register_devices();
    reports_ = simt::report_count();
  }
  void TearDown() override {
    EXPECT_EQ(simt::report_count(), reports_) << simt::last_report();
    simt::set_options(simt::Options::from_environment());
  }
  std::size_t reports_ = 0;
};

TEST_F(CudaSequences, ReviewsFollowTheCpu) {
  for (const std::int64_t steps : {7, 1}) {
    SCOPED_TRACE(steps);
    const Trained cpu = train("cpu", steps, reviews());
    expect_close(train("sim", steps, reviews()), cpu);
    expect_close(train("sim-own", steps, reviews()), cpu);
  }
}

struct Case {
  const char* name;
  Layers layers;
};

std::vector<Case> cases() {
  const auto network = [](std::vector<Layer> recurrent, bool mask = false) {
    std::vector<Layer> all{Embedding(kVocabulary, 8, {.mask_zero = mask})};
    all.insert(all.end(), recurrent.begin(), recurrent.end());
    all.push_back(Dense(1, {.activation = sigmoid}));
    return all;
  };
  return {
      {"masked GRU",
       [=] {
         return network({GRU(9, {.return_sequences = true}), GRU(9)}, true);
       }},
      {"backwards GRU",
       [=] {
         return network({GRU(9, {.return_sequences = true, .go_backwards = true}), GRU(9)});
       }},
      {"GRU reset before", [=] { return network({GRU(9, {.reset_after = false})}, true); }},
      {"GRU with dropout of the state",
       [=] { return network({GRU(9, {.dropout = 0.2, .recurrent_dropout = 0.2})}, true); }},
      {"reset before with dropout of the state",
       [=] {
         return network({GRU(9, {.dropout = 0.2, .recurrent_dropout = 0.2, .reset_after = false})}, true);
       }},
      {"masked LSTM",
       [=] {
         return network({LSTM(9, {.return_sequences = true}), LSTM(9)}, true);
       }},
      {"LSTM with relu", [=] { return network({LSTM(9, {.activation = relu})}); }},
      {"SimpleRNN", [=] { return network({SimpleRNN(9, {.dropout = 0.2})}, true); }},
      {"SimpleRNN with dropout of the state",
       [=] { return network({SimpleRNN(9, {.recurrent_dropout = 0.2, .go_backwards = true})}, true); }},
      {"Bidirectional",
       [=] {
         return network({Bidirectional(LSTM(9)), Dense(4)}, true);
       }},
      {"a product of its own before the sequence", [=] { return network({GRU(65, {.dropout = 0.2})}); }},
      {"more units than a block holds", [=] { return network({GRU(129)}); }},
  };
}

TEST_F(CudaSequences, EveryCellAndOptionFollowsTheCpu) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    expect_close(train("sim", 7, c.layers()), train("cpu", 7, c.layers()));
  }
}

TEST_F(CudaSequences, TimeDistributedFollowsTheCpu) {
  const auto trained = [](const std::string& device) {
    Sequential model(
        {Input({3, 6, 6, 2}), TimeDistributed(Conv2D(3, 3, {.activation = relu})),
         TimeDistributed(MaxPooling2D()), TimeDistributed(Flatten()), TimeDistributed(Dropout(0.2)),
         TimeDistributed(Dense(4)), GRU(5), Dense(1, {.activation = sigmoid})},
        {.device = device, .threads = 1});
    model.compile({.optimizer = Adam({.learning_rate = 0.02}), .loss = BinaryCrossentropy()});
    Tensor x(Shape{kSamples, 3, 6, 6, 2}), y(Shape{kSamples, 1});
    for (std::size_t i = 0; i < x.data<float>().size(); ++i)
      x.data<float>()[i] = uniform01({.seed = 5}, i) - 0.5f;
    for (std::size_t i = 0; i < kSamples; ++i) y.data<float>()[i] = i % 2 == 0 ? 1.0f : 0.0f;
    return train_steps(model, x, y, kBatch, kSteps);
  };
  expect_close(trained("sim"), trained("cpu"));
}

TEST_F(CudaSequences, LazyEmbeddingsFollowTheCpu) {
  const auto trained = [](const std::string& device) {
    Sequential model({Input({7}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 8), GRU(9),
                      Dense(1, {.activation = sigmoid})},
                     {.device = device, .threads = 1});
    model.compile({.optimizer = Adam({.lazy_embeddings = true}), .loss = BinaryCrossentropy()});
    Tensor y(Shape{kSamples, 1});
    for (std::size_t i = 0; i < kSamples; ++i) y.data<float>()[i] = i % 3 == 0 ? 1.0f : 0.0f;
    return train_steps(model, tokens(7), y, kBatch, kSteps);
  };
  expect_close(trained("sim"), trained("cpu"));
  expect_same_bits(trained("sim"), trained("sim-eager"));
}

TEST_F(CudaSequences, PaddingIsLeftOutOfLossAndMetricsAsInKeras) {
  golden::expect_masked_training("sim");
}

TEST_F(CudaSequences, MasksGoWhereKerasTakesThem) {
  golden::expect_mask_flow("sim");
}

// The kernels fill up warps with units that are not there.
TEST_F(CudaSequences, AnInfinityStaysInItsRow) {
  Tensor x = Tensor(Shape{2, 4, 3});
  for (std::size_t i = 0; i < 24; ++i) x.data<float>()[i] = 0.1f * static_cast<float>(i % 7) - 0.3f;
  x.data<float>()[4] = INFINITY;
  for (const bool lstm : {false, true}) {
    const auto run = [&](const char* device) {
      Sequential model({Input({4, 3}), lstm ? LSTM(5) : GRU(5)}, {.device = device, .threads = 1});
      const Tensor y = model.predict(x);
      return std::vector<float>(y.data<float>().begin(), y.data<float>().end());
    };
    const auto sim = run("sim"), cpu = run("cpu");
    for (std::size_t i = 0; i < cpu.size(); ++i) {
      EXPECT_TRUE(std::isfinite(cpu[i])) << i;
      EXPECT_NEAR(sim[i], cpu[i], 1e-5) << (lstm ? "lstm " : "gru ") << i;
    }
  }
}

TEST_F(CudaSequences, CaptureChangesNoBit) {
  const auto all = cases();
  for (const std::size_t k : {3, 4, 5, 10}) {
    const Case& c = all[k];
    SCOPED_TRACE(c.name);
    expect_same_bits(train("sim", 5, c.layers()), train("sim-eager", 5, c.layers()));
  }
}

TEST_F(CudaSequences, NoOrderOfThreadsOrStreamsChangesABit) {
  const auto both = [] {
    std::vector<Trained> all{train("sim", 7, reviews())};
    for (const std::size_t k : {std::size_t{0}, std::size_t{4}, std::size_t{5}})
      all.push_back(train("sim", 3, cases()[k].layers()));
    return all;
  };
  const std::vector<Trained> first = both();
  for (const simt::Order order : {simt::Order::reverse, simt::Order::random}) {
    simt::Options options = simt::options();
    options.order = order;
    options.streams = order == simt::Order::reverse ? simt::Streams::lazy : simt::Streams::random;
    simt::set_options(options);
    const std::vector<Trained> again = both();
    for (std::size_t i = 0; i < first.size(); ++i) expect_same_bits(again[i], first[i]);
  }
}

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

TEST_F(CudaSequences, ThePlanNamesThePathAndWhy) {
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
TEST_F(CudaSequences, EmbeddingsAndMasksAreMadeWhereTheyAreRead) {
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
TEST_F(CudaSequences, LaunchesPerStepStayInTheirBudget) {
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
