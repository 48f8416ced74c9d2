#include "src/train/step.hpp"

#include <algorithm>

#include "src/core/text.hpp"
#include "src/ops/affine.hpp"
#include "src/train/objectives.hpp"

namespace gpunn::train {
namespace {

constexpr std::size_t kPair = 2 * sizeof(float);  // of one result

ValueId emit_input(Graph& graph, const std::string& name, const FieldFormat& format, std::int64_t batch) {
  return graph.input(name, {format.shape.with_front(batch), format.dtype});
}

// A field as the network wants it: bytes become floats.
ValueId emit_scaled(Graph& graph, ValueId x, const FieldFormat& format) {
  if (format.dtype != Dtype::u8) return x;
  return graph.emit1("affine", {x}, ops::AffineAttrs{.scale = format.scale});
}

void place_outputs(Graph& graph, const ValueIds& outputs) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    ValueId output = outputs[i];
    // A network may hand an input through, or one value out twice: such an output is a copy.
    if (graph.value(output).place.store != Store::arena) {
      output = graph.emit1("affine", {output}, ops::AffineAttrs{});
    }
    graph.place(output, {Store::output, i});
  }
}

bool is_table(const Graph& graph, ValueId parameter) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(), [&](const Node& node) {
    return node.op->name == "embedding" && node.inputs[1] == parameter;
  });
}

const Node& gradient_of_table(const Graph& graph, ValueId dw, const std::string& name) {
  const Node& node = graph.nodes()[static_cast<std::size_t>(graph.value(dw).producer)];
  if (node.op->name != "embedding_backward" || node.accumulate[0] != kNoValue) {
    throw UsageError(cat("adam: lazy_embeddings: '", name, "' is looked up more than once in a step"));
  }
  return node;
}

void emit_training(Graph& graph, ValueId loss, const nn::Network::Trace& trace, const VariableStore& store,
                   const Optimizer& optimizer) {
  ValueIds parameters;
  std::vector<int> numbers;  // of their variables
  for (std::size_t i = 0; i < store.variables().size(); ++i) {
    if (!store.variables()[i].trainable) continue;
    parameters.push_back(trace.variables[i]);
    numbers.push_back(static_cast<int>(i));
  }
  // A variable that the loss does not depend on keeps the gradient its buffer was made with: zero.
  const ValueIds dw = gradients(graph, {loss}, parameters);
  std::vector<LazyTable> lazy;
  for (std::size_t i = 0; i < dw.size(); ++i) {
    if (dw[i] == kNoValue) continue;
    if (optimizer.lazy_embeddings && is_table(graph, parameters[i])) {
      // The node that would make the gradient has no reader, and is dropped.
      const Node& node =
          gradient_of_table(graph, dw[i], store.variables()[static_cast<std::size_t>(numbers[i])].name);
      lazy.push_back({numbers[i], node.inputs[0], node.inputs[1]});
    } else {
      graph.place(dw[i], store.gradient_place(numbers[i]));
    }
  }
  emit_optimizer(graph, optimizer, store, lazy);
}

// What `emit` makes of the output; the ShapeError of one that does not fit it names `what`.
template <class Emit>
ValueId emit_objective(const std::string& what, const Graph& graph, ValueId predictions, Emit emit) {
  try {
    return emit();
  } catch (const ShapeError& error) {
    const Spec& output = graph.spec(predictions);
    throw ShapeError(cat(what, " does not fit the output, ", output.dtype, " ", output.shape.without_front(),
                         " per sample: ", error.what()));
  }
}

// After everything that reads the state: moving statistics in training, the state of stateful layers always.
void emit_updates(Graph& graph, const nn::Network::Trace& trace) {
  graph.set_segment(Segment::update);
  for (const nn::StateUpdate& update : trace.updates) {
    graph.set_layer(update.layer);
    graph.emit(update.op, update.inputs, update.attrs);
  }
}

}  // namespace

Graph build_step(const nn::Network& network, const VariableStore& store, const TrainingOptions* training,
                 const StepKey& key, std::string_view device) {
  Graph graph;
  ValueIds inputs;
  for (std::size_t i = 0; i < network.inputs(); ++i) {
    inputs.push_back(emit_input(graph, network.input_names()[i], key.inputs[i], key.batch));
  }
  ValueId labels = kNoValue, weights = kNoValue;
  if (!key.labels.empty()) labels = emit_input(graph, "labels", key.labels[0], key.batch);
  if (key.weighted) weights = graph.input("weights", {Shape{key.batch}});
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    graph.set_layer(network.input_names()[i]);
    inputs[i] = emit_scaled(graph, inputs[i], key.inputs[i]);
  }

  nn::Network::Trace trace = network.trace(graph, key.mode, inputs, store);
  if (key.mode == nn::Mode::predict) {
    place_outputs(graph, trace.outputs);
    fuse_forward(graph, device);
    emit_updates(graph, trace);
    return graph;
  }
  const ValueId predictions = trace.outputs[0];
  graph.set_layer("loss");
  const RowWeights rows =
      emit_row_weights(graph, predictions, weights, trace.masks[0], !training->metrics.empty());
  const ValueId loss = emit_objective(cat("the loss ", loss_name(training->loss)), graph, predictions, [&] {
    return emit_loss(graph, training->loss, predictions, labels, rows.loss);
  });
  graph.place(loss, {Store::results, 0});
  graph.set_layer("metrics");
  for (std::size_t i = 0; i < training->metrics.size(); ++i) {
    const Metric metric = resolve(training->metrics[i], training->loss, network.output(0));
    const ValueId value = emit_objective(cat("the metric ", metric_name(metric)), graph, predictions, [&] {
      return emit_metric(graph, metric, predictions, labels, rows.metrics);
    });
    graph.place(value, {Store::results, (i + 1) * kPair});
  }
  fuse_forward(graph, device);
  if (key.mode == nn::Mode::train) emit_training(graph, loss, trace, store, training->optimizer);
  emit_updates(graph, trace);
  return graph;
}

Executable* StepCache::find(const StepKey& key) {
  for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
    if (entry->key != key) continue;
    entries_.splice(entries_.begin(), entries_, entry);
    return entries_.front().executable.get();
  }
  return nullptr;
}

Executable& StepCache::add(StepKey key, std::unique_ptr<Executable> executable) {
  entries_.push_front({std::move(key), std::move(executable)});
  if (entries_.size() > kCapacity) entries_.pop_back();
  return *entries_.front().executable;
}

}  // namespace gpunn::train
