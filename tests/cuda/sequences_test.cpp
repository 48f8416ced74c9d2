// Networks of sequences trained through the public interface on the software CUDA device, beside the CPU
// backend.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/cuda/sequences.hpp"
#include "tests/support/mask_flow_golden.hpp"
#include "tests/support/masked_golden.hpp"

namespace gpunn {
namespace {

Symbolic reviews(const Symbolic& ids) {
  return chain(
      ids, {Embedding(kVocabulary, 8), GRU(16, {.dropout = 0.1, .return_sequences = true}),
            GRU(16, {.dropout = 0.1}), Dense(8, {.activation = relu}), Dense(1, {.activation = sigmoid})});
}

TEST_F(CudaSequences, ReviewsFollowTheCpu) {
  for (const std::int64_t steps : {7, 1}) {
    SCOPED_TRACE(steps);
    const Trained cpu = train("cpu", steps, reviews);
    expect_close(train("sim", steps, reviews), cpu);
    expect_close(train("sim-own", steps, reviews), cpu);
  }
}

struct Case {
  std::string name;
  Network network;
};

std::vector<Case> cases() {
  const auto network = [](std::vector<Layer> layers, bool mask = false) -> Network {
    return [=](const Symbolic& ids) {
      const Symbolic x = Embedding(kVocabulary, 8, {.mask_zero = mask})(ids);
      return Dense(1, {.activation = sigmoid})(chain(x, layers));
    };
  };
  // A masked sequence to what is made of it, averaged over time where that is a sequence.
  const auto from_states = [](const std::function<Symbolic(const Symbolic&)>& made) -> Network {
    return [=](const Symbolic& ids) {
      Symbolic y = made(Embedding(kVocabulary, 8, {.mask_zero = true})(ids));
      if (y.shape().rank() == 2) y = GlobalAveragePooling1D()(y);
      return Dense(1, {.activation = sigmoid})(y);
    };
  };
  std::vector<Case> all{
      {"masked GRU", network({GRU(9, {.return_sequences = true}), GRU(9)}, true)},
      {"backwards GRU", network({GRU(9, {.return_sequences = true, .go_backwards = true}), GRU(9)})},
      {"GRU reset before", network({GRU(9, {.reset_after = false})}, true)},
      {"GRU with dropout of the state", network({GRU(9, {.dropout = 0.2, .recurrent_dropout = 0.2})}, true)},
      {"reset before with dropout of the state",
       network({GRU(9, {.dropout = 0.2, .recurrent_dropout = 0.2, .reset_after = false})}, true)},
      {"masked LSTM", network({LSTM(9, {.return_sequences = true}), LSTM(9)}, true)},
      {"LSTM with relu", network({LSTM(9, {.activation = relu})})},
      {"SimpleRNN", network({SimpleRNN(9, {.dropout = 0.2})}, true)},
      {"SimpleRNN with dropout of the state",
       network({SimpleRNN(9, {.recurrent_dropout = 0.2, .go_backwards = true})}, true)},
      {"Bidirectional", network({Bidirectional(LSTM(9)), Dense(4)}, true)},
      {"a product of its own before the sequence", network({GRU(65, {.dropout = 0.2})})},
      {"more units than a block holds", network({GRU(129)})},
      {"convolutions and pools along the steps",
       network({Conv1D(6, 3, {.padding = same, .activation = relu}), MaxPooling1D(2, {.strides = 1}),
                Conv1D(5, 2, {.padding = causal, .dilation_rate = 2}), AveragePooling1D(3, {.padding = same}),
                Conv1D(4, 2, {.strides = 2, .activation = gpunn::tanh}), GlobalMaxPooling1D()})},
      {"masked average over time",
       network({GRU(9, {.return_sequences = true}), GlobalAveragePooling1D()}, true)},
      {"average over time",
       network({Conv1D(6, 3, {.activation = relu}), GlobalAveragePooling1D({.keepdims = true}), Flatten()})},
      {"GRU's state begins another", from_states([](const Symbolic& x) {
         const auto first = GRU(9, {.return_sequences = true, .return_state = true}).call({x});
         return GRU(9)({first[0], first[1]});
       })},
      {"LSTM's states begin another", from_states([](const Symbolic& x) {
         const auto first = LSTM(9, {.return_state = true}).call({x});
         const auto second =
             LSTM(9, {.return_state = true, .go_backwards = true}).call({x, first[1], first[2]});
         return Concatenate()(second);
       })},
      {"SimpleRNN's state begins a GRU, step by step", from_states([](const Symbolic& x) {
         const auto first = SimpleRNN(9, {.return_state = true}).call({x});
         return GRU(9, {.reset_after = false})({x, first[1]});
       })},
      {"Bidirectional from states of Bidirectional", from_states([](const Symbolic& x) {
         const auto first = Bidirectional(GRU(5, {.return_state = true})).call({x});
         return Bidirectional(GRU(5, {.return_sequences = true})).call({x, first[1], first[2]})[0];
       })},
  };

  const std::pair<const char*, MergeMode> modes[] = {{"concat", MergeMode::concat},
                                                     {"sum", MergeMode::sum},
                                                     {"mul", MergeMode::mul},
                                                     {"ave", MergeMode::ave},
                                                     {"none", MergeMode::none}};
  for (const auto& [name, mode] : modes) {
    all.push_back(
        {std::string("masked sequences in both directions, ") + name, from_states([mode](const Symbolic& x) {
           const auto y = Bidirectional(GRU(5, {.return_sequences = true}), {.merge_mode = mode}).call({x});
           const Symbolic merged = y.size() == 2 ? Concatenate()(y) : y[0];
           return mode == MergeMode::none ? GRU(4)(merged) : LSTM(4)(merged);
         })});
  }
  return all;
}

class CudaSequencesCase : public CudaSequences, public ::testing::WithParamInterface<std::size_t> {};

TEST_P(CudaSequencesCase, FollowsTheCpu) {
  const Case c = cases()[GetParam()];
  SCOPED_TRACE(c.name);
  expect_close(train("sim", 7, c.network), train("cpu", 7, c.network));
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaSequencesCase, ::testing::Range(std::size_t{0}, cases().size()),
                         [](const auto& info) {
                           std::string name = cases()[info.param].name;
                           std::erase_if(name, [](char c) { return c == ',' || c == '\''; });
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

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
    return train_steps(model, tokens(7), labels(), kBatch, kSteps);
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
    expect_same_bits(train("sim", 5, c.network), train("sim-eager", 5, c.network));
  }
}

TEST_F(CudaSequences, NoOrderOfThreadsOrStreamsChangesABit) {
  const auto both = [] {
    std::vector<Trained> all{train("sim", 7, reviews)};
    for (const std::size_t k : {std::size_t{0}, std::size_t{4}, std::size_t{5}})
      all.push_back(train("sim", 3, cases()[k].network));
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

}  // namespace
}  // namespace gpunn
