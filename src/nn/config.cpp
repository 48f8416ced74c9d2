// Layers to JSON and back, in Keras's words.

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/core/text.hpp"
#include "src/nn/layer.hpp"

namespace gpunn::nn {
namespace {

struct InitializerName {
  Initializer::Kind kind;
  const char* name;
  const char* a;  // keys of its numbers, or null
  const char* b;
};
constexpr InitializerName kInitializers[] = {
    {Initializer::Kind::zeros, "zeros", nullptr, nullptr},
    {Initializer::Kind::ones, "ones", nullptr, nullptr},
    {Initializer::Kind::constant, "constant", "value", nullptr},
    {Initializer::Kind::uniform, "random_uniform", "minval", "maxval"},
    {Initializer::Kind::normal, "random_normal", "mean", "stddev"},
    {Initializer::Kind::glorot_uniform, "glorot_uniform", nullptr, nullptr},
    {Initializer::Kind::glorot_normal, "glorot_normal", nullptr, nullptr},
    {Initializer::Kind::he_uniform, "he_uniform", nullptr, nullptr},
    {Initializer::Kind::he_normal, "he_normal", nullptr, nullptr},
    {Initializer::Kind::orthogonal, "orthogonal", "gain", nullptr},
};

constexpr ActivationFunction kActivations[] = {ActivationFunction::linear,  ActivationFunction::relu,
                                               ActivationFunction::sigmoid, ActivationFunction::tanh,
                                               ActivationFunction::softmax, ActivationFunction::gelu};

Layer dense(const ConfigReader& c, std::string name) {
  return Dense(c.integer("units", 0),
               {.activation = c.activation("activation"),
                .use_bias = c.boolean("use_bias", true),
                .kernel_initializer = c.initializer("kernel_initializer", glorot_uniform),
                .bias_initializer = c.initializer("bias_initializer", zeros),
                .name = std::move(name)},
               {});
}

Layer conv2d(const ConfigReader& c, std::string name) {
  return Conv2D(c.integer("filters", 0), c.size("kernel_size", 0),
                {.strides = c.size("strides", 1),
                 .padding = c.padding("padding"),
                 .dilation_rate = c.size("dilation_rate", 1),
                 .groups = c.integer("groups", 1),
                 .activation = c.activation("activation"),
                 .use_bias = c.boolean("use_bias", true),
                 .kernel_initializer = c.initializer("kernel_initializer", glorot_uniform),
                 .bias_initializer = c.initializer("bias_initializer", zeros),
                 .name = std::move(name)},
                {});
}

Pooling2DOptions pooling(const ConfigReader& c, std::string name) {
  return {.strides = c.size("strides", c.size("pool_size", 2)),
          .padding = c.padding("padding"),
          .name = std::move(name)};
}

Layer conv1d(const ConfigReader& c, std::string name) {
  return Conv1D(c.integer("filters", 0), c.integer("kernel_size", 0),
                {.strides = c.integer("strides", 1),
                 .padding = c.padding("padding"),
                 .dilation_rate = c.integer("dilation_rate", 1),
                 .groups = c.integer("groups", 1),
                 .activation = c.activation("activation"),
                 .use_bias = c.boolean("use_bias", true),
                 .kernel_initializer = c.initializer("kernel_initializer", glorot_uniform),
                 .bias_initializer = c.initializer("bias_initializer", zeros),
                 .name = std::move(name)},
                {});
}

Pooling1DOptions pooling1d(const ConfigReader& c, std::string name) {
  return {.strides = c.integer("strides", 0), .padding = c.padding("padding"), .name = std::move(name)};
}

Layer batch_normalization(const ConfigReader& c, std::string name) {
  return BatchNormalization(
      {.momentum = c.number("momentum", 0.99),
       .epsilon = c.number("epsilon", 1e-3),
       .center = c.boolean("center", true),
       .scale = c.boolean("scale", true),
       .beta_initializer = c.initializer("beta_initializer", zeros),
       .gamma_initializer = c.initializer("gamma_initializer", ones),
       .moving_mean_initializer = c.initializer("moving_mean_initializer", zeros),
       .moving_variance_initializer = c.initializer("moving_variance_initializer", ones),
       .name = std::move(name)},
      {});
}

Layer embedding(const ConfigReader& c, std::string name) {
  return Embedding(c.integer("input_dim", 0), c.integer("output_dim", 0),
                   {.embeddings_initializer = c.initializer("embeddings_initializer", random_uniform()),
                    .mask_zero = c.boolean("mask_zero", false),
                    .name = std::move(name)},
                   {});
}

// What the three recurrent layers have in common.
template <class Options>
Options recurrent(const ConfigReader& c, std::string name) {
  Options o;
  o.activation = c.activation("activation", tanh);
  o.use_bias = c.boolean("use_bias", true);
  o.kernel_initializer = c.initializer("kernel_initializer", glorot_uniform);
  o.recurrent_initializer = c.initializer("recurrent_initializer", orthogonal());
  o.bias_initializer = c.initializer("bias_initializer", zeros);
  o.dropout = c.number("dropout", 0);
  o.recurrent_dropout = c.number("recurrent_dropout", 0);
  o.return_sequences = c.boolean("return_sequences", false);
  o.return_state = c.boolean("return_state", false);
  o.go_backwards = c.boolean("go_backwards", false);
  o.stateful = c.boolean("stateful", false);
  o.stateful_batch_size = c.integer("stateful_batch_size", 0);
  o.name = std::move(name);
  return o;
}

Layer gru(const ConfigReader& c, std::string name) {
  auto options = recurrent<GRUOptions>(c, std::move(name));
  options.recurrent_activation = c.activation("recurrent_activation", sigmoid);
  options.reset_after = c.boolean("reset_after", true);
  return GRU(c.integer("units", 0), std::move(options), {});
}

Layer lstm(const ConfigReader& c, std::string name) {
  auto options = recurrent<LSTMOptions>(c, std::move(name));
  options.recurrent_activation = c.activation("recurrent_activation", sigmoid);
  options.unit_forget_bias = c.boolean("unit_forget_bias", true);
  return LSTM(c.integer("units", 0), std::move(options), {});
}

Layer bidirectional(const ConfigReader& c, std::string name) {
  const std::optional<Layer> inner = c.layer("layer");
  if (!inner) throw DataError("Bidirectional: it has no layer");
  return Bidirectional(*inner,
                       {.merge_mode = merge_mode_from(c.text("merge_mode", "concat")),
                        .backward_layer = c.layer("backward_layer"),
                        .name = std::move(name)},
                       {});
}

struct LayerType {
  std::string_view type;
  FromConfig make;
};
using C = const ConfigReader&;
using N = std::string;
// A layer read from a file has no line of a program: the empty location at the end of each call says so.
const LayerType kLayerTypes[] = {
    {"Dense", dense},
    {"Conv2D", conv2d},
    {"MaxPooling2D", [](C c, N n) { return MaxPooling2D(c.size("pool_size", 2), pooling(c, n), {}); }},
    {"AveragePooling2D",
     [](C c, N n) { return AveragePooling2D(c.size("pool_size", 2), pooling(c, n), {}); }},
    {"GlobalMaxPooling2D",
     [](C c, N n) { return GlobalMaxPooling2D({.keepdims = c.boolean("keepdims", false), .name = n}, {}); }},
    {"GlobalAveragePooling2D",
     [](C c, N n) {
       return GlobalAveragePooling2D({.keepdims = c.boolean("keepdims", false), .name = n}, {});
     }},
    {"Flatten", [](C, N n) { return Flatten({.name = n}, {}); }},
    {"Reshape", [](C c, N n) { return Reshape(c.integers("target_shape"), {.name = n}, {}); }},
    {"Activation", [](C c, N n) { return Activation(c.activation("activation"), {.name = n}, {}); }},
    {"Rescaling",
     [](C c, N n) { return Rescaling(c.number("scale", 1), c.number("offset", 0), {.name = n}, {}); }},
    {"Dropout", [](C c, N n) { return Dropout(c.number("rate", 0), {.name = n}, {}); }},
    {"Add", [](C, N n) { return Add({.name = n}, {}); }},
    {"Multiply", [](C, N n) { return Multiply({.name = n}, {}); }},
    {"Concatenate",
     [](C c, N n) {
       const std::int64_t axis =
           std::clamp<std::int64_t>(c.integer("axis", -1), -99, 99);  // no shape has so many
       return Concatenate({.axis = static_cast<int>(axis), .name = n}, {});
     }},
    {"Custom",
     [](C, N n) -> Layer {
       throw DataError(cat("layer '", n,
                           "' is Custom, an op outside the library: make the model in the "
                           "program and use load_weights()"));
     }},
    {"BatchNormalization", batch_normalization},
    {"Embedding", embedding},
    {"Masking",
     [](C c, N n) {
       return Masking({.mask_value = static_cast<float>(c.number("mask_value", 0)), .name = n}, {});
     }},
    {"SimpleRNN",
     [](C c, N n) { return SimpleRNN(c.integer("units", 0), recurrent<SimpleRNNOptions>(c, n), {}); }},
    {"GRU", gru},
    {"Bidirectional", bidirectional},
    {"TimeDistributed",
     [](C c, N n) {
       const std::optional<Layer> inner = c.layer("layer");
       if (!inner) throw DataError("TimeDistributed: it has no layer");
       return TimeDistributed(*inner, {.name = n}, {});
     }},
    {"LSTM", lstm},
    {"Conv1D", conv1d},
    {"MaxPooling1D", [](C c, N n) { return MaxPooling1D(c.integer("pool_size", 2), pooling1d(c, n), {}); }},
    {"AveragePooling1D",
     [](C c, N n) { return AveragePooling1D(c.integer("pool_size", 2), pooling1d(c, n), {}); }},
    {"GlobalMaxPooling1D",
     [](C c, N n) { return GlobalMaxPooling1D({.keepdims = c.boolean("keepdims", false), .name = n}, {}); }},
    {"GlobalAveragePooling1D",
     [](C c, N n) {
       return GlobalAveragePooling1D({.keepdims = c.boolean("keepdims", false), .name = n}, {});
     }},
};

}  // namespace

Layer layer_from_config(std::string_view type, const Json& config, std::string name) {
  for (const LayerType& known : kLayerTypes) {
    if (known.type == type) return known.make(ConfigReader(config, type), std::move(name));
  }
  throw DataError(cat("there is no layer of type '", type, "'"));
}

Json to_json(const Initializer& initializer) {
  for (const InitializerName& known : kInitializers) {
    if (known.kind != initializer.kind) continue;
    if (known.a == nullptr) return known.name;
    Json json = {{"name", known.name}, {known.a, initializer.a}};
    if (known.b != nullptr) json[known.b] = initializer.b;
    return json;
  }
  throw UsageError("initializer of no known kind");
}

Json to_json(const Padding& padding) {
  if (padding.kind == Padding::Kind::valid) return "valid";
  if (padding.kind == Padding::Kind::same) return "same";
  if (padding.kind == Padding::Kind::causal) return "causal";
  return {padding.top, padding.bottom, padding.left, padding.right};
}

Json to_json(const Size2& size) {
  return {size.height, size.width};
}

Json to_json(const Shape& shape) {
  return std::vector<std::int64_t>(shape.extents().begin(), shape.extents().end());
}

const Json* ConfigReader::find(const char* key) const {
  if (!config_.is_object()) throw DataError(cat(type_, ": its config is not an object"));
  const auto found = config_.find(key);
  return found == config_.end() ? nullptr : &*found;
}

void ConfigReader::wrong(const char* key, const char* wanted) const {
  throw DataError(cat(type_, ": '", key, "' is not ", wanted));
}

std::int64_t ConfigReader::whole(const Json& value, const char* key, const char* wanted) const {
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<std::uint64_t>() >> 63 != 0))
    wrong(key, wanted);
  return value.get<std::int64_t>();
}

std::int64_t ConfigReader::integer(const char* key, std::int64_t otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  return whole(*value, key, "a whole number");
}

double ConfigReader::number(const char* key, double otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  // Most of them become floats.
  if (!value->is_number() || std::abs(value->get<double>()) > std::numeric_limits<float>::max())
    wrong(key, "a number");
  return value->get<double>();
}

bool ConfigReader::boolean(const char* key, bool otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) wrong(key, "true or false");
  return value->get<bool>();
}

std::string ConfigReader::text(const char* key, const std::string& otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) wrong(key, "a text");
  return value->get<std::string>();
}

ActivationFunction ConfigReader::activation(const char* key, ActivationFunction otherwise) const {
  const std::string name = text(key, std::string(to_string(otherwise)));
  for (const ActivationFunction function : kActivations) {
    if (to_string(function) == name) return function;
  }
  wrong(key, "a known activation");
}

Initializer ConfigReader::initializer(const char* key, Initializer otherwise) const {
  const Json* value = find(key);
  if (value == nullptr) return otherwise;
  const ConfigReader numbers(*value, type_);
  const std::string name = value->is_string()   ? value->get<std::string>()
                           : value->is_object() ? numbers.text("name", "")
                                                : "";
  for (const InitializerName& known : kInitializers) {
    if (known.name != name) continue;
    // A bare "orthogonal" has the gain 1.
    const double otherwise_number = known.kind == Initializer::Kind::orthogonal ? 1 : 0;
    const auto number = [&](const char* of) {
      if (of == nullptr) return 0.0f;
      return static_cast<float>(value->is_object() ? numbers.number(of, otherwise_number) : otherwise_number);
    };
    return {known.kind, number(known.a), number(known.b)};
  }
  wrong(key, "a known initializer");
}

std::vector<std::int64_t> ConfigReader::integers(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr) return {};
  std::vector<std::int64_t> numbers;
  if (!value->is_array()) wrong(key, "a list of whole numbers");
  for (const Json& number : *value) numbers.push_back(whole(number, key, "a list of whole numbers"));
  return numbers;
}

std::optional<Layer> ConfigReader::layer(const char* key) const {
  constexpr int kDeepest = 8;  // layers within layers; a hostile file could go on until the stack ends
  thread_local int depth = 0;
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object() || !value->contains("config")) wrong(key, "a layer");
  if (depth == kDeepest) throw DataError(cat(type_, ": too many layers within layers"));
  struct Level {
    Level() { ++depth; }
    ~Level() { --depth; }
  } const level;
  return layer_from_config(ConfigReader(*value, type_).text("class_name", ""), value->at("config"), "");
}

Size2 ConfigReader::size(const char* key, Size2 otherwise) const {
  if (find(key) == nullptr) return otherwise;
  const std::vector<std::int64_t> numbers = integers(key);
  if (numbers.size() != 2) wrong(key, "a height and a width");
  return {numbers[0], numbers[1]};
}

Padding ConfigReader::padding(const char* key) const {
  const Json* value = find(key);
  if (value == nullptr || *value == "valid") return valid;
  if (*value == "same") return same;
  if (*value == "causal") return causal;
  const std::vector<std::int64_t> numbers = integers(key);
  if (numbers.size() != 4) wrong(key, "\"valid\", \"same\", \"causal\" or four numbers");
  return pad(numbers[0], numbers[1], numbers[2], numbers[3]);
}

}  // namespace gpunn::nn
