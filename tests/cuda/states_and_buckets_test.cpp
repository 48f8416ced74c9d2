// Sequences that go on from batch to batch, and batches of several lengths, on the software CUDA device.

#include <gtest/gtest.h>

#include <cmath>
#include <gpunn/gpunn.hpp>
#include <memory>
#include <vector>

#include "tests/cuda/sequences.hpp"

namespace gpunn {
namespace {

// Steps of a batch go on where the batch before ended, in training and in prediction, until the states are
// reset.
TEST_F(CudaSequences, StatefulLayersFollowTheCpu) {
  const auto run = [](const std::string& device) {
    Sequential model(
        {Input({7}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 8, {.mask_zero = true}),
         Bidirectional(GRU(5, {.return_sequences = true, .stateful = true, .stateful_batch_size = kBatch})),
         LSTM(6, {.return_sequences = true, .stateful = true, .stateful_batch_size = kBatch}),
         SimpleRNN(6, {.recurrent_dropout = 0.2, .stateful = true, .stateful_batch_size = kBatch}),
         Dense(1, {.activation = sigmoid})},
        {.device = device, .threads = 1});
    model.compile({.optimizer = Adam({.learning_rate = 0.01}), .loss = BinaryCrossentropy()});
    const Tensor x = tokens(7);
    Trained trained = train_steps(model, x, labels(), kBatch, kSteps);
    const auto predict = [&] {
      const Tensor y = model.predict(x, {.batch_size = kBatch});
      return std::vector<float>(y.data<float>().begin(), y.data<float>().end());
    };
    model.reset_states();
    const std::vector<float> first = predict(), second = predict();
    EXPECT_NE(first, second) << device << ": the states begin anew";
    model.reset_states();
    EXPECT_EQ(predict(), first) << device << ": the states were not reset";
    model.reset_states();
    const Logs again = model.train_on_batch(x.rows(0, kBatch), labels().rows(0, kBatch));
    trained.weights.push_back(static_cast<float>(again["loss"]));
    trained.weights.insert(trained.weights.end(), first.begin(), first.end());
    trained.weights.insert(trained.weights.end(), second.begin(), second.end());
    return trained;
  };
  const Trained cpu = run("cpu"), sim = run("sim");
  expect_close(sim, cpu);
  for (std::size_t i = 0; i < cpu.weights.size(); ++i) EXPECT_NEAR(sim.weights[i], cpu.weights[i], 1e-4) << i;
  expect_same_bits(sim, run("sim-eager"));
}

TEST_F(CudaSequences, BucketsFollowTheCpu) {
  std::vector<std::vector<std::int32_t>> sequences;
  for (std::uint32_t n = 0; n < 14; ++n) {  // no bucket's last batch is full
    sequences.emplace_back();
    for (std::uint32_t t = 0; t < 1 + n % 7; ++t)
      sequences.back().push_back(static_cast<std::int32_t>(1 + philox({.seed = 3}, n * 100 + t)[0] % 9));
  }
  Tensor y({14, 1});
  for (std::size_t n = 0; n < 14; ++n) y.data<float>()[n] = sequences[n][0] < 5 ? 1.0f : 0.0f;
  const auto data = std::make_shared<SequenceDataset>(
      sequences, y, SequenceOptions{.pad = {.maxlen = 7, .padding = Side::post}, .buckets = {2, 5}});
  const auto run = [&](const std::string& device) {
    Sequential model(
        {Input({7}, {.dtype = Dtype::i32}), Embedding(10, 8, {.mask_zero = true}),
         Bidirectional(GRU(5, {.return_sequences = true})), LSTM(6), Dense(1, {.activation = sigmoid})},
        {.device = device, .threads = 1});
    model.compile({.optimizer = Adam({.learning_rate = 0.01}), .loss = BinaryCrossentropy()});
    const History history = model.fit(data, {.epochs = 4, .batch_size = kBatch, .verbose = Verbose::silent});
    Trained trained{history["loss"], {}};
    trained.losses.push_back(model.evaluate(data, {.batch_size = kBatch})["loss"]);
    const Tensor p = model.predict(data, {.batch_size = kBatch}).at(0);
    trained.weights.assign(p.data<float>().begin(), p.data<float>().end());
    return trained;
  };
  const Trained cpu = run("cpu"), sim = run("sim");
  expect_close(sim, cpu);
  for (std::size_t i = 0; i < cpu.weights.size(); ++i) EXPECT_NEAR(sim.weights[i], cpu.weights[i], 1e-5) << i;
  expect_same_bits(sim, run("sim-eager"));
}

}  // namespace
}  // namespace gpunn
