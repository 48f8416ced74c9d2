#include "gpunn/graph.hpp"

#include <algorithm>

namespace gpunn {

void expects(bool ok, const OpCall& call, std::string_view what) {
  if (ok) return;
  std::string message = std::string(call.op) + ": " + std::string(what);
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    message += i == 0 ? " (inputs " : ", ";
    message += to_string(call.inputs[i].shape) + " " + std::string(to_string(call.inputs[i].dtype));
  }
  if (!call.inputs.empty()) message += ")";
  throw ShapeError(message, call.where);
}

void OpCall::refuse_attributes() const {
  const bool none = attributes == nullptr || !attributes->has_value();
  throw UsageError(
      std::string(op) + (none ? ": the call has no attributes" : ": the call has attributes of another type"),
      where);
}

ValueId Graph::input(std::string name, Spec spec, bool batched) {
  if (batched) {
    const std::int64_t rows = spec.shape[0];
    if (batch_ >= 0 && rows != batch_) {
      throw ShapeError("input '" + name + "' has " + std::to_string(rows) + " rows, the inputs before it " +
                       std::to_string(batch_));
    }
    batch_ = rows;
  }
  const Place place{Store::input, static_cast<std::size_t>(input_count_++)};
  values_.push_back({.spec = std::move(spec), .batched = batched, .place = place, .name = std::move(name)});
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Graph::external(std::string name, Spec spec, Place place) {
  values_.push_back({.spec = std::move(spec), .place = place, .name = std::move(name)});
  return static_cast<ValueId>(values_.size() - 1);
}

ValueIds Graph::emit(const OpDef& op, ValueIds inputs, Attrs attrs) {
  Node node;
  node.op = &op;
  node.inputs = std::move(inputs);
  node.attrs = std::move(attrs);
  node.where = where_;
  node.layer = layer_;
  node.segment = segment_;
  node.backward = backward_;
  node.accumulate.assign(op.outputs.size(), kNoValue);

  const CallStorage storage = call(node);
  const Specs outputs = op.infer(storage.call);
  if (outputs.size() != op.outputs.size()) {
    throw UsageError("op '" + op.name + "' declares " + std::to_string(op.outputs.size()) +
                     " outputs but its shape inference returned " + std::to_string(outputs.size()));
  }
  const bool any_batched = std::any_of(node.inputs.begin(), node.inputs.end(),
                                       [&](ValueId id) { return id != kNoValue && value(id).batched; });
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    Value made;
    made.spec = outputs[k];
    made.batched = any_batched && op.outputs[k] != Rows::sum;
    made.producer = static_cast<std::int32_t>(nodes_.size());
    made.name = (layer_.empty() ? op.name : layer_ + "/" + op.name) + (k == 0 ? "" : ":" + std::to_string(k));
    node.outputs.push_back(static_cast<ValueId>(values_.size()));
    values_.push_back(std::move(made));
  }
  ValueIds ids = node.outputs;
  nodes_.push_back(std::move(node));
  return ids;
}

void Graph::set_layer(std::string layer, SourceLocation where) {
  layer_ = std::move(layer);
  where_ = where;
}

void Graph::place(ValueId id, Place place) {
  Value& v = values_.at(static_cast<std::size_t>(id));
  if (v.place.store != Store::arena) throw UsageError("value '" + v.name + "' has a place already");
  v.place = place;
}

std::vector<ValueId> Graph::inputs() const {
  std::vector<ValueId> ids(static_cast<std::size_t>(input_count_), kNoValue);
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].place.store == Store::input) ids.at(values_[i].place.offset) = static_cast<ValueId>(i);
  }
  return ids;
}

Graph::CallStorage Graph::call(const Node& node) const {
  CallStorage storage;
  for (const ValueId id : node.inputs) {
    if (id != kNoValue && value(id).batched) storage.call.batched |= 1u << storage.inputs.size();
    storage.inputs.push_back(id == kNoValue ? Spec{Shape{0}} : spec(id));
  }
  for (const ValueId id : node.outputs) storage.outputs.push_back(spec(id));
  storage.call.op = node.op->name;
  storage.call.inputs = storage.inputs;
  storage.call.outputs = storage.outputs;
  storage.call.attributes = &node.attrs;
  storage.call.where = node.where;
  for (std::size_t k = 0; k < node.accumulate.size(); ++k) {
    if (node.accumulate[k] != kNoValue) storage.call.accumulates |= 1u << k;
  }
  return storage;  // the spans point into vectors whose elements a move keeps in place
}

}  // namespace gpunn
