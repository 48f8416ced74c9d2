// Layers over sequences, named "layer", as the attributes of a golden case describe them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "gpunn/gpunn.hpp"

namespace gpunn::golden {

using nlohmann::json;

inline ActivationFunction activation_of(const json& a, const char* key, ActivationFunction otherwise) {
  if (!a.contains(key)) return otherwise;
  for (const auto& [known, function] :
       {std::pair{"linear", linear}, {"relu", relu}, {"sigmoid", sigmoid}, {"tanh", tanh}, {"gelu", gelu}})
    if (a[key] == known) return function;
  throw UsageError("unknown activation");
}

template <class Options>
Options options_of(const json& a) {
  Options o;
  o.activation = activation_of(a, "activation", tanh);
  o.use_bias = a.value("use_bias", true);
  o.return_sequences = a.value("return_sequences", false);
  o.return_state = a.value("return_state", false);
  o.go_backwards = a.value("go_backwards", false);
  o.dropout = a.value("dropout", 0.0);
  o.recurrent_dropout = a.value("recurrent_dropout", 0.0);
  o.stateful = a.value("stateful", false);
  if (o.stateful) o.stateful_batch_size = a["batch"];
  o.name = "layer";
  return o;
}

inline Layer simple_rnn(const json& a) {
  return SimpleRNN(a["units"], options_of<SimpleRNNOptions>(a));
}
inline Layer gru(const json& a) {
  auto options = options_of<GRUOptions>(a);
  options.recurrent_activation = activation_of(a, "recurrent_activation", sigmoid);
  options.reset_after = a.value("reset_after", true);
  return GRU(a["units"], options);
}
inline Layer lstm(const json& a) {
  auto options = options_of<LSTMOptions>(a);
  options.recurrent_activation = activation_of(a, "recurrent_activation", sigmoid);
  return LSTM(a["units"], options);
}
inline Layer recurrent(const json& a) {
  return a["layer"] == "lstm" ? lstm(a) : a["layer"] == "gru" ? gru(a) : simple_rnn(a);
}
inline Layer bidirectional(const json& a) {
  BidirectionalOptions options{.name = "layer"};
  const std::pair<const char*, MergeMode> modes[] = {{"concat", MergeMode::concat},
                                                     {"sum", MergeMode::sum},
                                                     {"mul", MergeMode::mul},
                                                     {"ave", MergeMode::ave}};
  const json mode = a.value("merge_mode", json("concat"));
  options.merge_mode = MergeMode::none;
  for (const auto& [name, merge] : modes) {
    if (mode == name) options.merge_mode = merge;
  }
  if (a.contains("backward_layer")) {
    json second = a;
    second["activation"] = a["backward_layer"]["activation"];
    second["go_backwards"] = true;
    options.backward_layer = lstm(second);
  }
  return Bidirectional(recurrent(a), options);
}
inline Layer recurrent_or_bidirectional(const json& a) {
  return a.contains("merge_mode") ? bidirectional(a) : recurrent(a);
}
inline Layer at_each_step(const json& a) {
  const ActivationFunction activation = activation_of(a, "activation", linear);
  if (a["layer"] == "dense") return Dense(a["units"], {.activation = activation});
  if (a["layer"] == "conv1d")
    return Conv1D(a["filters"], a["kernel_size"], {.padding = causal, .activation = activation});
  if (a["layer"] == "conv2d")
    return Conv2D(a["filters"], a["kernel_size"].get<std::int64_t>(),
                  {.strides = a["strides"].get<std::int64_t>(), .padding = same, .activation = activation});
  return recurrent(a);
}
inline Layer time_distributed(const json& a) {
  return TimeDistributed(at_each_step(a), {.name = "layer"});
}
inline Layer masking(const json& a) {
  return Masking({.mask_value = a["mask_value"], .name = "layer"});
}

}  // namespace gpunn::golden
