// Saved models: one safetensors file. The architecture and the training settings are JSON in its metadata.

#include <cstring>
#include <limits>

#include "gpunn/io.hpp"
#include "gpunn/model.hpp"
#include "src/core/log.hpp"
#include "src/core/text.hpp"
#include "src/train/model_state.hpp"
#include "src/train/objectives.hpp"

namespace gpunn {
namespace {

using nn::Json;

constexpr int kFormat = 1;  // of the JSON
constexpr const char* kMetadataKey = "gpunn_model";

std::string slot_name(int slot, const std::string& variable) {
  return cat("optimizer/slot", slot, "/", variable);
}

Json architecture(const ModelState& state) {
  const nn::Network& network = state.network;
  Json json = {{"format", kFormat},
               {"class_name", state.kind},
               {"name", state.options.name},
               {"seed", state.options.seed}};
  const Policy policy = find_backend(state.options.device).in_effect(state.policy());
  json["arithmetic"] = {{"allow_tf32", policy.allow_tf32}, {"deterministic", policy.deterministic}};
  json["inputs"] = Json::array();
  for (std::size_t i = 0; i < network.inputs(); ++i) {
    json["inputs"].push_back({{"name", network.input_names()[i]},
                              {"shape", nn::to_json(network.input(i).shape)},
                              {"dtype", to_string(network.input(i).dtype)}});
  }
  json["layers"] = Json::array();
  for (const auto& layer : network.layers()) {
    json["layers"].push_back({{"class_name", layer.definition->type()},
                              {"name", layer.name},
                              {"config", layer.definition->config()}});
  }
  json["calls"] = Json::array();
  for (const auto& call : network.calls())
    json["calls"].push_back({{"layer", call.layer}, {"inputs", call.inputs}});
  json["outputs"] = network.outputs();
  return json;
}

Json training_settings(const ModelState& state) {
  const TrainingOptions& training = *state.training;
  Json metrics = Json::array();
  for (const Metric metric : training.metrics) metrics.push_back(train::metric_name(metric));
  return {{"optimizer", train::to_json(training.optimizer)},
          {"loss", train::to_json(training.loss)},
          {"metrics", metrics},
          {"steps_per_execution", training.steps_per_execution},
          {"learning_rate", state.learning_rate},
          {"step", state.step},
          {"epoch", state.epoch}};
}

// A model's file also has what its stateful layers remember; that is no weight, and its size is the batch's.
enum class States : std::uint8_t { with, without };

std::vector<io::NamedTensor> weights_of(const ModelState& state, States states) {
  std::vector<io::NamedTensor> tensors;
  const auto& variables = state.variables.variables();
  for (const auto& layer : state.network.layers()) {
    for (std::size_t i = 0; i < layer.variables.size(); ++i) {
      if (states == States::without && layer.variables[i].sequence_state) continue;
      const int index = layer.first_variable + static_cast<int>(i);
      tensors.push_back({variables[static_cast<std::size_t>(index)].name, state.variables.tensor(index)});
    }
  }
  return tensors;
}

// The optimizer's slots, once there are any.
std::vector<io::NamedTensor> slots_of(const ModelState& state) {
  std::vector<io::NamedTensor> tensors;
  if (!state.training || state.step == 0) return tensors;
  const auto& variables = state.variables.variables();
  for (int slot = 0; slot < train::slots(state.training->optimizer); ++slot) {
    for (std::size_t i = 0; i < variables.size(); ++i) {
      if (!variables[i].trainable) continue;
      tensors.push_back(
          {slot_name(slot, variables[i].name), state.variables.slot(static_cast<int>(i), slot)});
    }
  }
  return tensors;
}

// Throws DataError unless the file has a tensor of this name, shape and dtype.
const Tensor& expect_tensor(const io::SafetensorsFile& file, const std::string& name, const Shape& shape) {
  const Tensor* found = file.find(name);
  if (found == nullptr) throw DataError(cat("there is no '", name, "'"));
  if (found->shape() != shape || found->dtype() != Dtype::f32) {
    throw DataError(
        cat("'", name, "' is ", found->dtype(), " ", found->shape(), ", the model has f32 ", shape));
  }
  return *found;
}

void expect_weights(const ModelState& state, const io::SafetensorsFile& file) {
  for (const Variable& variable : state.variables.variables())
    expect_tensor(file, variable.name, variable.spec.shape);
}

void copy_into(const std::vector<io::NamedTensor>& tensors, const io::SafetensorsFile& file) {
  for (const auto& [name, tensor] : tensors) expect_tensor(file, name, tensor.shape());  // all or nothing
  for (const auto& [name, tensor] : tensors) {
    Tensor to = tensor;
    if (to.size_bytes() > 0) std::memcpy(to.bytes(), file.find(name)->bytes(), to.size_bytes());
  }
}

// A number of values, layers or steps. Throws DataError unless it is whole, not negative, and a T.
template <class T>
T whole(const Json& json, const char* what) {
  const bool fits = json.is_number_unsigned() && json.get<std::uint64_t>() <= std::numeric_limits<T>::max();
  if (!fits) throw DataError(cat("'", what, "' holds ", json.dump().substr(0, 40)));
  return json.get<T>();
}

std::vector<int> value_numbers(const Json& json, const char* what) {
  std::vector<int> numbers;
  for (const Json& number : json) numbers.push_back(whole<int>(number, what));
  return numbers;
}

Dtype dtype_from(const std::string& name) {
  for (const Dtype dtype : {Dtype::f32, Dtype::i32}) {
    if (to_string(dtype) == name) return dtype;
  }
  throw DataError(cat("an input has the dtype '", name, "'"));
}

nn::Network network_from(const Json& json) {
  nn::Network::Parts parts;
  for (const Json& input : json.at("inputs")) {
    const nn::ConfigReader config(input, "input");
    const std::vector<std::int64_t> extents = config.integers("shape");
    parts.inputs.push_back(
        Input(Shape(std::span(extents)),
              {.dtype = dtype_from(config.text("dtype", "f32")), .name = config.text("name", "")},
              SourceLocation{}));
  }
  for (const Json& layer : json.at("layers")) {
    const nn::ConfigReader config(layer, "layer");
    parts.layers.push_back(
        nn::layer_from_config(config.text("class_name", ""), layer.at("config"), config.text("name", "")));
  }
  for (const Json& call : json.at("calls")) {
    parts.calls.push_back(
        {whole<int>(call.at("layer"), "layer"), value_numbers(call.at("inputs"), "inputs"), 0, {}});
  }
  parts.outputs = value_numbers(json.at("outputs"), "outputs");
  return nn::Network::assemble(parts);
}

void restore_training(ModelState& state, const Json& json, const io::SafetensorsFile& file) {
  const nn::ConfigReader config(json, "training");
  TrainingOptions training;
  training.optimizer = train::optimizer_from(json.at("optimizer"));
  training.loss = train::loss_from(json.at("loss"));
  for (const Json& metric : json.at("metrics"))
    training.metrics.push_back(train::metric_from(metric.get<std::string>()));
  training.steps_per_execution =
      whole<int>(json.value("steps_per_execution", Json(1u)), "steps_per_execution");
  train::check_training(training, state.network, state.variables, {});
  const double rate = config.number("learning_rate", training.optimizer.learning_rate);
  train::check_learning_rate(rate, {});
  const auto step = whole<std::int64_t>(json.value("step", Json(0u)), "step");
  const auto epoch = whole<std::int64_t>(json.value("epoch", Json(0u)), "epoch");
  state.set_training(std::move(training));
  state.learning_rate = rate, state.step = step, state.epoch = epoch;
  if (state.step == 0) return;
  state.allocate_training();
  copy_into(slots_of(state), file);
}

// The bits of a run that goes on need the choices of the run before.
void compare_arithmetic(const ModelState& state, const Json& json) {
  if (!json.contains("arithmetic")) return;
  const nn::ConfigReader saved(json.at("arithmetic"), "arithmetic");
  const Policy policy = find_backend(state.options.device).in_effect(state.policy());
  const auto compare = [&](const char* name, bool before, bool now) {
    if (before != now)
      log_info(cat("load_model: it was saved with ", name, " ", before, ", and is now ", now));
  };
  compare("allow_tf32", saved.boolean("allow_tf32", policy.allow_tf32), policy.allow_tf32);
  compare("deterministic", saved.boolean("deterministic", policy.deterministic), policy.deterministic);
}

std::unique_ptr<ModelState> state_from(const io::SafetensorsFile& file, ModelOptions options,
                                       SourceLocation where) {
  const auto found = file.metadata.find(kMetadataKey);
  if (found == file.metadata.end())
    throw DataError("it has weights but no model; load_weights() reads such files");
  const Json json = Json::parse(found->second);
  if (json.at("format") != kFormat)
    throw DataError(cat("its model has the format ", json.at("format").dump()));
  const nn::ConfigReader config(json, "model");
  if (options.name.empty()) options.name = config.text("name", "");
  // Written unsigned; config.integer() would refuse the upper half.
  if (options.seed == 0 && json.contains("seed")) options.seed = json.at("seed").get<std::uint64_t>();
  auto state = std::make_unique<ModelState>(network_from(json), std::move(options),
                                            config.text("class_name", "Functional"), where);
  compare_arithmetic(*state, json);
  expect_weights(*state, file);  // before memory of the sizes that the file claims is allocated
  state->variables.allocate(false, 0);
  copy_into(weights_of(*state, States::with), file);
  if (json.contains("training")) restore_training(*state, json.at("training"), file);
  return state;
}

// Errors of the file itself, with the user's line.
io::SafetensorsFile read(const std::filesystem::path& path, SourceLocation where) {
  try {
    return io::load_safetensors(path);
  } catch (const FileError& error) {
    throw FileError(error.what(), where);
  } catch (const DataError& error) {
    throw DataError(error.what(), where);
  }
}

}  // namespace

void Model::save(const std::filesystem::path& path) const {
  Json json = architecture(*state_);
  std::vector<io::NamedTensor> tensors = weights_of(*state_, States::with);
  if (state_->training) {
    json["training"] = training_settings(*state_);
    for (io::NamedTensor& slot : slots_of(*state_)) tensors.push_back(std::move(slot));
  }
  io::save_safetensors(path, tensors, {{kMetadataKey, json.dump()}});
}

void Model::save_weights(const std::filesystem::path& path) const {
  io::save_safetensors(path, weights_of(*state_, States::without));
}

void Model::load_weights(const std::filesystem::path& path, SourceLocation where) {
  const io::SafetensorsFile file = read(path, where);
  try {
    copy_into(weights_of(*state_, States::without), file);
  } catch (const DataError& error) {
    throw DataError(cat(path.string(), ": ", error.what()), where);
  }
}

Model load_model(const std::filesystem::path& path, ModelOptions options, SourceLocation where) {
  const io::SafetensorsFile file = read(path, where);
  const auto wrong = [&](const std::exception& error) {
    return DataError(cat(path.string(), ": not a model that can be loaded: ", error.what()), where);
  };
  try {
    return Model(state_from(file, std::move(options), where));
  } catch (const nlohmann::json::exception& error) {
    throw wrong(error);
  } catch (const DataError& error) {
    throw wrong(error);
  } catch (const ShapeError& error) {
    throw wrong(error);
  } catch (const UsageError& error) {
    throw wrong(error);
  }
}

}  // namespace gpunn
