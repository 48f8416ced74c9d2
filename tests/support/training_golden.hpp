// Twenty steps of a network from Keras's weights and batches, through train_on_batch(): the losses are
// Keras's. The formulas of weights and batches are stated at the head of tests/golden/training.py. Here are
// the networks of tokens with one embedding, on any device.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "gpunn/gpunn.hpp"
#include "tests/support/golden.hpp"

namespace gpunn::golden {

inline constexpr int kSteps = 20;

inline double u(std::uint32_t stream, std::int64_t i) {
  std::uint32_t h = static_cast<std::uint32_t>(i) + 0x9e3779b9u * (stream + 1);
  h = (h ^ (h >> 16)) * 0x85ebca6bu;
  h = (h ^ (h >> 13)) * 0xc2b2ae35u;
  h ^= h >> 16;
  return (h >> 8) / 16777216.0;
}

inline void set_weight(const std::string& name, Tensor weight, std::uint32_t number) {
  const Shape& shape = weight.shape();
  const bool embeddings = name.ends_with("/embeddings");
  if (name.ends_with("bias")) {
    std::ranges::fill(weight.data<float>(), 0.0f);
    return;
  }
  double receptive = 1;
  for (int axis = 0; axis + 2 < shape.rank(); ++axis) receptive *= static_cast<double>(shape[axis]);
  const double glorot = std::sqrt(6 / (receptive * static_cast<double>(shape[-2] + shape[-1])));
  const double scale = embeddings ? 0.05 : glorot;
  const auto values = weight.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>((2 * u(number, static_cast<std::int64_t>(i)) - 1) * scale);
}

struct Batch {
  Tensor x, y;
};

struct Tokens {
  std::int64_t batch, time, vocabulary;
  bool masked, in_front = false;

  Batch operator()(std::int64_t row) const {
    Batch made{Tensor({batch, time}, Dtype::i32), Tensor({batch, 1})};
    for (std::int64_t n = 0; n < batch; ++n) {
      const auto ids = made.x.data<std::int32_t>().subspan(static_cast<std::size_t>(n * time));
      for (std::int64_t t = 0; t < time; ++t) {
        ids[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(
            std::floor(u(101, (row + n) * time + t) * static_cast<double>(vocabulary)));
      }
      made.y.data<float>()[static_cast<std::size_t>(n)] = 2 * ids[0] < vocabulary ? 1.0f : 0.0f;
      if (!masked) continue;
      const auto padding = static_cast<std::size_t>(std::floor(u(102, row + n) * static_cast<double>(time)));
      const auto steps = ids.first(static_cast<std::size_t>(time));
      std::ranges::fill(in_front ? steps.first(padding) : steps.last(padding), 0);
    }
    return made;
  }
};

template <class BatchAt>
void expect_same_training(Model& model, const Family& family, const std::string& name, Loss loss,
                          const BatchAt& batch_at, std::int64_t batch) {
  const auto names = model.weight_names();
  ASSERT_EQ(names.size(), family.attributes(name)["weights"].size());
  for (std::size_t k = 0; k < names.size(); ++k) {
    EXPECT_EQ(names[k], family.attributes(name)["weights"][k]);
    set_weight(names[k], model.weight(names[k]), static_cast<std::uint32_t>(k));
  }
  model.compile({.optimizer = Adam({.learning_rate = family.attributes(name).value("learning_rate", 0.001)}),
                 .loss = loss});

  const auto losses = family[name + "/losses"].data<double>();
  for (int step = 0; step < kSteps; ++step) {
    const auto [x, y] = batch_at(step * batch);
    EXPECT_NEAR(model.train_on_batch(x, y)["loss"] / losses[static_cast<std::size_t>(step)], 1, 1e-4)
        << "step " << step;
  }
  const auto norms = family[name + "/final_norms"].data<double>();
  for (std::size_t k = 0; k < names.size(); ++k) {
    double norm = 0;
    for (const float w : model.weight(names[k]).data<float>()) norm += double{w} * w;
    EXPECT_NEAR(std::sqrt(norm) / norms[k], 1, 1e-4) << names[k];
    const Tensor* final = family.find(name + "/final:" + std::to_string(k));
    if (final != nullptr) {
      EXPECT_LT(relative_norm(model.weight(names[k]), *final), 1e-3) << names[k];
    }
  }
}

struct TokenNetwork {
  const char* name;
  std::function<Symbolic(const Symbolic&)> part;  // between the embedding and the last two layers
};
inline void PrintTo(const TokenNetwork& network, std::ostream* out) {
  *out << network.name;
}

inline Symbolic resets_before(const Symbolic& x) {
  return GRU(12, {.reset_after = false})(GRU(12, {.return_sequences = true, .reset_after = false})(x));
}
inline Symbolic two_lstms(const Symbolic& x) {
  return LSTM(12)(LSTM(12, {.return_sequences = true})(x));
}
inline Symbolic backwards(const Symbolic& x) {
  return GRU(12, {.go_backwards = true})(LSTM(12, {.return_sequences = true, .go_backwards = true})(x));
}
inline Symbolic both_directions(const Symbolic& x, MergeMode first, MergeMode second) {
  const Layer sequences = LSTM(6, {.return_sequences = true});
  return Bidirectional(LSTM(6), {.merge_mode = second})(Bidirectional(sequences, {.merge_mode = first})(x));
}
inline Symbolic directions_apart(const Symbolic& x) {
  const Layer both = Bidirectional(LSTM(6, {.return_sequences = true}), {.merge_mode = MergeMode::none});
  return LSTM(6)(Concatenate()(both.call({x})));
}
inline Symbolic convolution(const Symbolic& x) {
  return GlobalMaxPooling1D()(Conv1D(12, 3, {.activation = relu})(x));
}

inline const TokenNetwork kTokenNetworks[] = {
    {"gru_reset_before", resets_before},
    {"gru_reset_before_masked", resets_before},
    {"lstm_padded_in_front", two_lstms},
    {"backwards", backwards},
    {"backwards_padded_in_front", backwards},
    {"bidirectional_concat_sum_masked",
     [](const Symbolic& x) { return both_directions(x, MergeMode::concat, MergeMode::sum); }},
    {"bidirectional_mul_ave",
     [](const Symbolic& x) { return both_directions(x, MergeMode::mul, MergeMode::ave); }},
    {"bidirectional_apart_masked", directions_apart},
    {"conv1d", convolution},
};

inline void expect_token_training(const TokenNetwork& network, const std::string& device) {
  const Family family("token_training");
  ASSERT_EQ(family.cases().size(), std::size(kTokenNetworks));
  const auto attributes = family.attributes(network.name);
  const std::int64_t batch = attributes["batch"], time = attributes["time"];
  const std::int64_t vocabulary = attributes["vocabulary"];
  const bool masked = attributes["mask_zero"];
  const Symbolic ids = Input({time}, {.dtype = Dtype::i32});
  const Symbolic y = network.part(Embedding(vocabulary, 16, {.mask_zero = masked})(ids));
  Model model(ids, Dense(1, {.activation = sigmoid})(Dense(8, {.activation = relu})(y)), {.device = device});
  const Tokens tokens{batch, time, vocabulary, masked, attributes["padded_in_front"]};
  const auto same_batch = [&](std::int64_t) { return tokens(attributes["row"]); };
  expect_same_training(model, family, network.name, BinaryCrossentropy(), same_batch, batch);
}

}  // namespace gpunn::golden
