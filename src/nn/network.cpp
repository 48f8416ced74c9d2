#include "src/nn/network.hpp"

#include <algorithm>
#include <cctype>

#include "src/core/log.hpp"
#include "src/core/text.hpp"
#include "src/nn/initializers.hpp"

namespace gpunn::nn {

std::string snake_case(std::string_view type) {
  // Keras's rule: an underscore before a capital that begins a word of small letters or follows one; "2D"
  // stays together.
  std::string name;
  for (std::size_t i = 0; i < type.size(); ++i) {
    const auto upper = [&](std::size_t k) {
      return k < type.size() && std::isupper(static_cast<unsigned char>(type[k]));
    };
    const auto lower = [&](std::size_t k) {
      return k < type.size() && std::islower(static_cast<unsigned char>(type[k]));
    };
    if (i > 0 && upper(i) && (lower(i - 1) || lower(i + 1))) name += '_';
    name += static_cast<char>(std::tolower(static_cast<unsigned char>(type[i])));
  }
  return name;
}

Network::Network(const std::vector<Symbolic>& inputs, const std::vector<Symbolic>& outputs,
                 SourceLocation where) {
  if (inputs.empty() || outputs.empty())
    throw UsageError("a model needs at least one input and one output", where);
  std::map<const SymbolicNode*, int> values;
  for (const Symbolic& input : inputs) {
    if (input.node()->layer != nullptr) {
      throw UsageError("an input of a model must come from Input()", input.node()->where);
    }
    if (!values.emplace(input.node().get(), static_cast<int>(values_.size())).second) {
      throw UsageError("an Input() stands twice among the inputs of a model", where);
    }
    add_input(*input.node());
  }
  for (const Symbolic& output : outputs) outputs_.push_back(visit(output.node(), values));
}

Network Network::chain(const std::vector<Layer>& layers, SourceLocation where) {
  if (layers.empty() || !layers.front().input()) {
    throw UsageError("the first layer of a Sequential must be an Input()", where);
  }
  Network network;
  network.add_input(*layers.front().input()->node());
  int value = 0;
  for (std::size_t i = 1; i < layers.size(); ++i) {
    const auto& definition = layers[i].shared_definition();
    if (definition == nullptr) {
      throw UsageError("an Input() can only be the first layer of a Sequential",
                       layers[i].input()->node()->where);
    }
    value = network.add_call(definition, {value}, definition->where());
    if (const int outputs = network.calls_.back().outputs; outputs > 1) {
      throw UsageError(
          cat("a ", definition->type(), " that returns ", outputs, " values cannot stand in a Sequential"),
          definition->where());
    }
  }
  network.outputs_ = {value};
  return network;
}

Network Network::assemble(const Parts& parts) {
  Network network;
  const auto expect = [](int number, std::size_t known, const char* what) {
    if (number < 0 || static_cast<std::size_t>(number) >= known)
      throw UsageError(cat("there is no ", what, " ", number));
  };
  if (parts.inputs.empty() || parts.outputs.empty())
    throw UsageError("a model needs at least one input and one output");
  for (const Symbolic& input : parts.inputs) network.add_input(*input.node());
  for (const Call& call : parts.calls) {
    expect(call.layer, parts.layers.size(), "layer");
    for (const int input : call.inputs) expect(input, network.values_.size(), "value");
    network.add_call(parts.layers[static_cast<std::size_t>(call.layer)].shared_definition(), call.inputs,
                     call.where);
  }
  for (const int output : parts.outputs) expect(output, network.values_.size(), "value");
  network.outputs_ = parts.outputs;
  return network;
}

void Network::add_input(const SymbolicNode& node) {
  const std::string stem = "input_layer";
  std::string name = node.name.empty() ? stem : node.name;
  for (int i = 1; std::count(input_names_.begin(), input_names_.end(), name) > 0; ++i) {
    if (!node.name.empty()) throw UsageError(cat("two inputs are called '", name, "'"), node.where);
    name = cat(stem, "_", i);
  }
  input_names_.push_back(std::move(name));
  values_.push_back(node.spec);
  masked_.push_back(false);
  makers_.push_back(-1);
}

// The number of the node's value; adds what it depends on first.
int Network::visit(const std::shared_ptr<const SymbolicNode>& node,
                   std::map<const SymbolicNode*, int>& values) {
  if (const auto known = values.find(node.get()); known != values.end()) return known->second;
  if (node->layer == nullptr) {
    throw UsageError("an output of the model depends on this Input(), which is not among its inputs",
                     node->where);
  }
  if (node->first != nullptr) return visit(node->first, values) + node->output;
  std::vector<int> inputs;
  for (const auto& input : node->inputs) inputs.push_back(visit(input, values));
  const int value = add_call(node->layer, std::move(inputs), node->where);
  values.emplace(node.get(), value);
  return value;
}

int Network::add_call(const Definition& definition, std::vector<int> inputs, SourceLocation where) {
  Specs specs;
  for (const int input : inputs) specs.push_back(values_[static_cast<std::size_t>(input)]);
  const int layer = layer_index(definition, specs, where);
  const std::string& name = layers_[static_cast<std::size_t>(layer)].name;
  const int first = static_cast<int>(values_.size());
  const Specs made = infer(*definition, name, specs, where);
  const bool masked = returns_mask(*definition, name, inputs, specs);
  for (std::size_t i = 0; i < made.size(); ++i) {
    values_.push_back(made[i]);
    masked_.push_back(masked && i < definition->masked_outputs());
    makers_.push_back(static_cast<int>(calls_.size()));
  }
  calls_.push_back({layer, std::move(inputs), first, where, static_cast<int>(made.size())});
  return first;
}

// Whether the layer's (first) outputs carry a mask; warns of masks that end here.
bool Network::returns_mask(const LayerDefinition& layer, const std::string& name,
                           const std::vector<int>& inputs, const Specs& specs) const {
  std::vector<bool> masked;
  for (const int input : inputs) masked.push_back(masked_[static_cast<std::size_t>(input)]);
  const MaskUse use = layer.mask_use();
  if (use == MaskUse::make) return true;
  const auto ends = [&](std::size_t from) {
    return std::find(masked.begin() + from, masked.end(), true) != masked.end();
  };
  const bool merges = use == MaskUse::merge && layer.merges_masks(specs, masked);
  if (use == MaskUse::merge && !merges && ends(0)) {
    log_warning(cat("layer '", name, "' (", layer.type(),
                    ") makes no mask of those of its inputs, which not all of them have: they end here"));
  } else if (use == MaskUse::lose && ends(0)) {
    log_warning(cat("layer '", name, "' (", layer.type(), ") knows nothing of masks: its input's ends here"));
  } else if (use != MaskUse::merge && ends(1)) {
    log_warning(cat("layer '", name, "' (", layer.type(),
                    ") has no use for the mask of any input but the first: it ends here"));
  }
  return merges || (use == MaskUse::pass && masked[0]);
}

// The layer's place; adds it when this is its first call.
int Network::layer_index(const Definition& definition, const Specs& inputs, SourceLocation where) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].definition == definition) return static_cast<int>(i);
  }
  std::string name = unique_name(*definition);
  infer(*definition, name, inputs, where);  // its message names all that does not fit; variables() would not
  VariableSpecs variables = definition->variables(inputs);
  const int first = variable_count_;
  variable_count_ += static_cast<int>(variables.size());
  layers_.push_back({std::move(name), definition, first, std::move(variables)});
  return static_cast<int>(layers_.size()) - 1;
}

std::string Network::unique_name(const LayerDefinition& definition) const {
  const auto taken = [&](const std::string& name) {
    return std::find_if(layers_.begin(), layers_.end(),
                        [&](const auto& layer) { return layer.name == name; });
  };
  if (!definition.name().empty()) {
    if (const auto other = taken(definition.name()); other != layers_.end()) {
      throw UsageError(cat("two layers are called '", definition.name(), "'; the other is a ",
                           other->definition->type(), " from ", other->definition->where()),
                       definition.where());
    }
    return definition.name();
  }
  const std::string stem = snake_case(definition.type());
  std::string name = stem;
  for (int i = 1; taken(name) != layers_.end(); ++i) name = cat(stem, "_", i);
  return name;
}

const std::string& Network::value_name(int value) const {
  const auto index = static_cast<std::size_t>(value);
  if (index < inputs()) return input_names_[index];
  return layers_[static_cast<std::size_t>(calls_[static_cast<std::size_t>(makers_[index])].layer)].name;
}

std::int64_t Network::vocabulary(std::size_t i) const {
  std::int64_t least = 0;
  for (const Call& call : calls_) {
    const std::int64_t limit = layers_[static_cast<std::size_t>(call.layer)].definition->vocabulary();
    if (limit > 0 && call.inputs[0] == static_cast<int>(i))
      least = least == 0 ? limit : std::min(least, limit);
  }
  return least;
}

const Network::NamedLayer* Network::stateful() const {
  const auto found = std::find_if(layers_.begin(), layers_.end(),
                                  [](const auto& layer) { return layer.definition->batch_size() > 0; });
  return found == layers_.end() ? nullptr : &*found;
}

bool Network::is_chain() const {
  if (inputs() != 1 || layers_.size() != calls_.size() ||
      outputs_ != std::vector<int>{static_cast<int>(calls_.size())}) {
    return false;
  }
  return std::all_of(calls_.begin(), calls_.end(),
                     [](const Call& call) { return call.inputs == std::vector<int>{call.output - 1}; });
}

void Network::declare(VariableStore& store) const {
  for (const NamedLayer& layer : layers_) {
    for (const VariableSpec& variable : layer.variables) {
      store.add(layer.name + "/" + variable.name, {variable.shape}, variable.trainable);
    }
  }
}

void Network::initialize(const VariableStore& store, std::uint64_t seed) const {
  int index = 0;
  for (const NamedLayer& layer : layers_) {
    for (const VariableSpec& variable : layer.variables) {
      Tensor values = store.tensor(index);
      nn::initialize(variable.initializer, variable.shape, seed, static_cast<std::uint32_t>(index),
                     values.data<float>());
      const auto ones =
          values.data<float>().subspan(static_cast<std::size_t>(variable.ones_begin),
                                       static_cast<std::size_t>(variable.ones_end - variable.ones_begin));
      std::fill(ones.begin(), ones.end(), 1.0f);
      ++index;
    }
  }
}

Network::Trace Network::trace(Graph& graph, Mode mode, const ValueIds& inputs,
                              const VariableStore& store) const {
  Trace trace;
  for (std::size_t i = 0; i < store.variables().size(); ++i) {
    const Variable& variable = store.variables()[i];
    trace.variables.push_back(graph.external(variable.name, variable.spec, store.place(static_cast<int>(i))));
  }
  ValueIds values = inputs, masks(inputs.size(), kNoValue);
  for (const Call& call : calls_) {
    const NamedLayer& layer = layers_[static_cast<std::size_t>(call.layer)];
    Emission e{.graph = graph, .mode = mode, .layer = layer.name, .updates = &trace.updates};
    e.stream = static_cast<std::uint32_t>(call.output);  // each call of a shared dropout draws its own
    for (const int input : call.inputs) {
      e.x.push_back(values[static_cast<std::size_t>(input)]);
      e.masks.push_back(masks[static_cast<std::size_t>(input)]);
    }
    for (std::size_t i = 0; i < layer.variables.size(); ++i) {
      e.variables.push_back(trace.variables[static_cast<std::size_t>(layer.first_variable) + i]);
    }
    graph.set_layer(layer.name, call.where);
    const ValueIds made = layer.definition->emit_all(e);
    values.insert(values.end(), made.begin(), made.end());
    masks.resize(values.size(), kNoValue);
    const auto first = static_cast<std::size_t>(call.output);
    if (!masked_[first]) continue;
    const ValueId mask = layer.definition->mask_use() == MaskUse::pass ? e.mask() : layer.definition->mask(e);
    std::fill_n(masks.begin() + call.output, layer.definition->masked_outputs(), mask);
  }
  graph.set_layer("");
  for (const int output : outputs_) {
    trace.outputs.push_back(values[static_cast<std::size_t>(output)]);
    trace.masks.push_back(masks[static_cast<std::size_t>(output)]);
  }
  return trace;
}

}  // namespace gpunn::nn
