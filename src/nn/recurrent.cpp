#include "src/nn/recurrent.hpp"

#include "src/core/text.hpp"
#include "src/ops/dropout.hpp"

namespace gpunn::nn {
namespace {

using ops::RecurrentCell;

// The op's activations; softmax, over all units of a step, is none of them.
ops::Activation to_op(ActivationFunction function, std::string_view type, SourceLocation where) {
  switch (function) {
    case ActivationFunction::linear:
      return ops::Activation::linear;
    case ActivationFunction::relu:
      return ops::Activation::relu;
    case ActivationFunction::sigmoid:
      return ops::Activation::sigmoid;
    case ActivationFunction::tanh:
      return ops::Activation::tanh;
    case ActivationFunction::gelu:
      return ops::Activation::gelu;
    case ActivationFunction::softmax:
      break;
  }
  throw UsageError(cat(type, ": softmax cannot be an activation of a recurrent layer"), where);
}

// Each mask of a layer has random numbers of its own; streams of layers are far fewer than this.
constexpr std::uint32_t kStateDropoutStream = 1u << 16;

}  // namespace

RecurrentLayer::RecurrentLayer(std::int64_t units, RecurrentOptions options, SourceLocation where)
    : LayerDefinition(std::move(options.name), where), units_(units), options_(std::move(options)) {
  const auto expect = [&](bool ok, const std::string& what) { argument(ok, type(), what, where); };
  constexpr std::int64_t kMostUnits = std::int64_t{1} << 31;  // their products are still numbers
  expect(units > 0 && units < kMostUnits, cat("units must be positive, and fewer than 2^31, not ", units));
  for (const double rate : {options_.dropout, options_.recurrent_dropout}) {
    expect(rate >= 0 && rate < 1, cat("dropout must be at least 0 and below 1, not ", rate));
  }
  expect(!options_.stateful || options_.stateful_batch_size > 0,
         "a stateful layer needs stateful_batch_size, the samples of every batch");
  for (const auto function : {options_.activation, options_.recurrent_activation}) {
    static_cast<void>(to_op(function, type(), where));
  }
}

std::string_view RecurrentLayer::type() const {
  switch (options_.cell) {
    case RecurrentCell::simple:
      return "SimpleRNN";
    case RecurrentCell::gru:
    case RecurrentCell::gru_reset_before:
      return "GRU";
    case RecurrentCell::lstm:
      break;
  }
  return "LSTM";
}

VariableSpecs RecurrentLayer::variables(const Specs& x) const {
  expects(x[0].shape.rank() == 2, "needs sequences [steps, features]");
  const std::int64_t width = ops::recurrent_gates(options_.cell) * units_;
  VariableSpecs specs{{"kernel", {x[0].shape[1], width}, options_.kernel_initializer},
                      {"recurrent_kernel", {units_, width}, options_.recurrent_initializer}};
  if (options_.use_bias) {
    const bool two = ops::recurrent_biases(options_.cell) == 2;
    specs.push_back({"bias", two ? Shape{2, width} : Shape{width}, options_.bias_initializer});
    if (options_.unit_forget_bias) specs.back().ones_begin = units_, specs.back().ones_end = 2 * units_;
  }
  if (options_.stateful) {
    for (std::size_t i = 0; i < states(); ++i) {
      specs.push_back({.name = i == 0 ? "state_h" : "state_c",
                       .shape = {options_.stateful_batch_size, units_},
                       .initializer = zeros,
                       .trainable = false,
                       .sequence_state = true});
    }
  }
  return specs;
}

ops::RecurrentAttrs RecurrentLayer::attributes(Mode mode) const {
  return {.cell = options_.cell,
          .activation = to_op(options_.activation, type(), where()),
          .recurrent_activation = to_op(options_.recurrent_activation, type(), where()),
          .sequence = options_.return_sequences,
          .reversed = options_.go_backwards,
          .keep = mode == Mode::train};
}

// Given ones, or for a stateful layer what the batch before left.
void RecurrentLayer::emit_initial_states(const Emission& e, ValueIds& inputs) const {
  constexpr std::size_t kStates[] = {ops::kRecurrentH0, ops::kRecurrentC0};
  if (!options_.stateful) {
    for (std::size_t i = 1; i < e.x.size(); ++i) inputs[kStates[i - 1]] = e.x[i];
    return;
  }
  expects(e.x.size() == 1, "is stateful: it takes no initial state");
  expects(e.shape()[0] == options_.stateful_batch_size,
          cat("is stateful with batches of ", options_.stateful_batch_size, " samples, not ", e.shape()[0]));
  for (std::size_t i = 0; i < states(); ++i) {
    const ValueId state = e.variables[e.variables.size() - states() + i];
    e.graph.mutable_values()[static_cast<std::size_t>(state)].batched = true;  // a row for each sample
    inputs[kStates[i]] = state;
  }
}

// As Keras draws them: one mask for all gates, or with recurrent dropout one for each.
void RecurrentLayer::emit_dropout(const Emission& e, ValueIds& inputs) const {
  if (e.mode != Mode::train) return;
  const std::int64_t masks = options_.recurrent_dropout > 0 ? ops::recurrent_gates(options_.cell) : 1;
  const auto mask = [&](std::size_t k, double rate, std::int64_t features, std::uint32_t stream) {
    if (rate == 0) return;
    inputs[k] =
        e.graph.emit1("dropout_mask", {e.x[0]},
                      ops::DropoutMaskAttrs{{static_cast<float>(rate), stream}, Shape{masks, features}});
  };
  mask(ops::kRecurrentInputDropout, options_.dropout, e.shape()[2], e.stream);
  mask(ops::kRecurrentStateDropout, options_.recurrent_dropout, units_, e.stream + kStateDropoutStream);
}

ValueIds RecurrentLayer::emit_all(const Emission& e) const {
  ValueIds inputs(ops::kRecurrentForwardInputs, kNoValue);
  inputs[ops::kRecurrentX] = e.x[0];
  inputs[ops::kRecurrentKernel] = e.variables[0];
  inputs[ops::kRecurrentWeights] = e.variables[1];
  if (options_.use_bias) inputs[ops::kRecurrentBias] = e.variables[2];
  inputs[ops::kRecurrentMask] = e.mask();
  emit_initial_states(e, inputs);
  emit_dropout(e, inputs);

  const ValueIds made = e.graph.emit("recurrent", inputs, attributes(e.mode));
  if (options_.stateful) {
    e.update("assign", {inputs[ops::kRecurrentH0], made[ops::kRecurrentOutH]}, {});
    if (states() == 2) e.update("assign", {inputs[ops::kRecurrentC0], made[ops::kRecurrentOutC]}, {});
  }
  const ValueId h = made[ops::kRecurrentOutH];
  ValueIds outputs{options_.return_sequences ? made[ops::kRecurrentOutSequence] : h};
  if (options_.return_state) outputs.push_back(h);
  if (options_.return_state && states() == 2) outputs.push_back(made[ops::kRecurrentOutC]);
  return outputs;
}

Json RecurrentLayer::config() const {
  Json json{{"units", units_}, {"activation", to_string(options_.activation)}};
  if (options_.cell != RecurrentCell::simple) {
    json["recurrent_activation"] = to_string(options_.recurrent_activation);
  }
  json["use_bias"] = options_.use_bias;
  json["kernel_initializer"] = to_json(options_.kernel_initializer);
  json["recurrent_initializer"] = to_json(options_.recurrent_initializer);
  json["bias_initializer"] = to_json(options_.bias_initializer);
  if (options_.cell == RecurrentCell::lstm) json["unit_forget_bias"] = options_.unit_forget_bias;
  json["dropout"] = options_.dropout;
  json["recurrent_dropout"] = options_.recurrent_dropout;
  json["return_sequences"] = options_.return_sequences;
  json["return_state"] = options_.return_state;
  json["go_backwards"] = options_.go_backwards;
  json["stateful"] = options_.stateful;
  if (options_.stateful) json["stateful_batch_size"] = options_.stateful_batch_size;
  if (type() == "GRU") json["reset_after"] = options_.cell == RecurrentCell::gru;
  return json;
}

namespace {

// What the options of the three layers have in common.
template <class Options>
RecurrentOptions common(RecurrentCell cell, Options&& o) {
  RecurrentOptions made;
  made.cell = cell;
  made.activation = o.activation;
  made.use_bias = o.use_bias;
  made.kernel_initializer = o.kernel_initializer;
  made.recurrent_initializer = o.recurrent_initializer;
  made.bias_initializer = o.bias_initializer;
  made.dropout = o.dropout;
  made.recurrent_dropout = o.recurrent_dropout;
  made.return_sequences = o.return_sequences;
  made.return_state = o.return_state;
  made.go_backwards = o.go_backwards;
  made.stateful = o.stateful;
  made.stateful_batch_size = o.stateful_batch_size;
  made.name = std::move(o.name);
  return made;
}

Layer layer(std::int64_t units, RecurrentOptions options, SourceLocation where) {
  return Layer(std::make_shared<RecurrentLayer>(units, std::move(options), where));
}

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer SimpleRNN(std::int64_t units, SimpleRNNOptions options, SourceLocation where) {
  return nn::layer(units, nn::common(ops::RecurrentCell::simple, std::move(options)), where);
}

Layer GRU(std::int64_t units, GRUOptions options, SourceLocation where) {
  const auto cell = options.reset_after ? ops::RecurrentCell::gru : ops::RecurrentCell::gru_reset_before;
  const ActivationFunction gates = options.recurrent_activation;
  nn::RecurrentOptions made = nn::common(cell, std::move(options));
  made.recurrent_activation = gates;
  return nn::layer(units, std::move(made), where);
}

Layer LSTM(std::int64_t units, LSTMOptions options, SourceLocation where) {
  const ActivationFunction gates = options.recurrent_activation;
  const bool forget = options.unit_forget_bias;
  nn::RecurrentOptions made = nn::common(ops::RecurrentCell::lstm, std::move(options));
  made.recurrent_activation = gates;
  made.unit_forget_bias = forget;
  return nn::layer(units, std::move(made), where);
}

}  // namespace gpunn
