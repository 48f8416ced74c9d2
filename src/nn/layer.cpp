#include "src/nn/layer.hpp"

#include <algorithm>

#include "src/core/text.hpp"

namespace gpunn {

namespace {

std::vector<Symbolic> call_all(const nn::Definition& layer, const std::vector<Symbolic>& x,
                               SourceLocation where) {
  if (layer == nullptr) throw UsageError("an Input is not a layer that can be called", where);
  auto node = std::make_shared<nn::SymbolicNode>();
  node->layer = layer;
  node->where = where;
  Specs specs;
  for (const Symbolic& input : x) {
    node->inputs.push_back(input.node());
    specs.push_back(input.node()->spec);
  }
  specs = nn::infer(*layer, layer->name(), specs, where);
  node->spec = specs.at(0);
  std::vector<Symbolic> outputs{Symbolic(node)};
  for (std::size_t i = 1; i < specs.size(); ++i) {
    auto other = std::make_shared<nn::SymbolicNode>(*node);
    other->spec = specs[i];
    other->first = node;
    other->output = static_cast<int>(i);
    outputs.emplace_back(std::move(other));
  }
  return outputs;
}

Symbolic call_one(const nn::Definition& layer, const std::vector<Symbolic>& x, SourceLocation where) {
  std::vector<Symbolic> outputs = call_all(layer, x, where);
  if (outputs.size() > 1) {
    throw UsageError(cat("this ", layer->type(), " returns ", outputs.size(), " values: use call()"), where);
  }
  return outputs[0];
}

}  // namespace

const Shape& Symbolic::shape() const {
  return node_->spec.shape;
}

Dtype Symbolic::dtype() const {
  return node_->spec.dtype;
}

Layer::Layer(const Symbolic& input) : input_(input) {
  if (input.node()->layer != nullptr) {
    throw UsageError("only an Input() can stand among the layers of a Sequential, not the result of a layer",
                     input.node()->where);
  }
}

Symbolic Layer::operator()(const Symbolic& x, SourceLocation where) const {
  return call_one(definition_, {x}, where);
}

Symbolic Layer::operator()(const std::vector<Symbolic>& x, SourceLocation where) const {
  return call_one(definition_, x, where);
}

std::vector<Symbolic> Layer::call(const std::vector<Symbolic>& x, SourceLocation where) const {
  return call_all(definition_, x, where);
}

Symbolic Input(const Shape& shape, InputOptions options, SourceLocation where) {
  auto node = std::make_shared<nn::SymbolicNode>();
  node->spec = {shape, options.dtype};
  node->name = std::move(options.name);
  node->where = where;
  return Symbolic(std::move(node));
}

namespace nn {

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::train:
      return "train";
    case Mode::evaluate:
      return "evaluate";
    case Mode::predict:
      break;
  }
  return "predict";
}

namespace {

std::string describe(const LayerDefinition& layer, std::string_view name, const Specs& inputs) {
  std::string text =
      name.empty() ? cat("layer ", layer.type()) : cat("layer '", name, "' (", layer.type(), ")");
  for (std::size_t i = 0; i < inputs.size(); ++i) text += cat(i == 0 ? " on " : ", ", inputs[i].shape);
  return text;
}

Specs trial_emission(const LayerDefinition& layer, const Specs& inputs) {
  const std::int64_t batch = std::max<std::int64_t>(layer.batch_size(), 1);  // any would do
  Graph graph;
  Emission e{.graph = graph, .mode = Mode::train};
  for (const Spec& input : inputs)
    e.x.push_back(graph.input("x", {input.shape.with_front(batch), input.dtype}));
  for (const VariableSpec& variable : layer.variables(inputs)) {
    e.variables.push_back(graph.external(variable.name, {variable.shape},
                                         {variable.trainable ? Store::parameters : Store::state}));
  }
  Specs specs;
  for (const ValueId id : layer.emit_all(e)) {
    specs.push_back(graph.spec(id));
    specs.back().shape = specs.back().shape.without_front();
  }
  return specs;
}

}  // namespace

Specs infer(const LayerDefinition& layer, std::string_view name, const Specs& inputs, SourceLocation where) {
  if (!layer.takes(inputs.size())) {
    throw ShapeError(
        cat(describe(layer, name, inputs), ": takes ",
            layer.takes(2) ? layer.takes(1) ? "one input and its states" : "two or more inputs" : "one input",
            ", not ", inputs.size()),
        where);
  }
  try {
    return trial_emission(layer, inputs);
  } catch (const ShapeError& error) {
    throw ShapeError(cat(describe(layer, name, inputs), ": ", error.what()), where);
  }
}

}  // namespace nn
}  // namespace gpunn
