#include "gpunn/losses.hpp"

#include "src/core/text.hpp"
#include "src/ops/accuracy.hpp"
#include "src/ops/affine.hpp"
#include "src/ops/common.hpp"
#include "src/ops/loss_weights.hpp"
#include "src/train/objectives.hpp"

namespace gpunn {

Loss MeanSquaredError() {
  return {.kind = Loss::Kind::mean_squared_error};
}

Loss BinaryCrossentropy(CrossentropyOptions options) {
  return {Loss::Kind::binary_crossentropy, options.from_logits, options.label_smoothing};
}

Loss CategoricalCrossentropy(CrossentropyOptions options) {
  return {Loss::Kind::categorical_crossentropy, options.from_logits, options.label_smoothing};
}

Loss SparseCategoricalCrossentropy(SparseCrossentropyOptions options) {
  return {.kind = Loss::Kind::sparse_categorical_crossentropy, .from_logits = options.from_logits};
}

namespace train {
namespace {

struct LossName {
  Loss::Kind kind;
  const char* name;
};
constexpr LossName kLosses[] = {
    {Loss::Kind::none, "none"},
    {Loss::Kind::mean_squared_error, "mean_squared_error"},
    {Loss::Kind::binary_crossentropy, "binary_crossentropy"},
    {Loss::Kind::categorical_crossentropy, "categorical_crossentropy"},
    {Loss::Kind::sparse_categorical_crossentropy, "sparse_categorical_crossentropy"},
};

struct MetricName {
  Metric metric;
  const char* name;
};
constexpr MetricName kMetrics[] = {
    {Metric::accuracy, "accuracy"},
    {Metric::binary_accuracy, "binary_accuracy"},
    {Metric::categorical_accuracy, "categorical_accuracy"},
    {Metric::sparse_categorical_accuracy, "sparse_categorical_accuracy"},
};

// Labels y become y (1 - s) + s / classes.
ValueId smooth(Graph& graph, ValueId labels, double smoothing, double classes) {
  if (smoothing == 0) return labels;
  return graph.emit1("affine", {labels},
                     ops::AffineAttrs{.scale = static_cast<float>(1 - smoothing),
                                      .offset = static_cast<float>(smoothing / classes)});
}

}  // namespace

Dtype label_dtype(const Loss& loss) {
  return loss.kind == Loss::Kind::sparse_categorical_crossentropy ? Dtype::i32 : Dtype::f32;
}

RowWeights emit_row_weights(Graph& graph, ValueId predictions, ValueId weights, ValueId mask, bool metrics) {
  const Shape& shape = graph.spec(predictions).shape;
  const std::int64_t vectors = ops::row_elements(shape.with(-1, 1));
  const ops::LossWeightsAttrs attrs{vectors};
  if (mask == kNoValue) {
    if (weights != kNoValue && vectors > 1)
      weights = graph.emit1("loss_weights", {weights, kNoValue, kNoValue}, attrs);
    return {weights, kNoValue};
  }
  const ValueId count = graph.emit1("mask_count", {mask});
  RowWeights rows{.loss = graph.emit1("loss_weights", {weights, mask, count}, attrs)};
  if (metrics) rows.metrics = graph.emit1("loss_weights", {kNoValue, mask, kNoValue}, attrs);
  return rows;
}

ValueId emit_loss(Graph& graph, const Loss& loss, ValueId predictions, ValueId labels, ValueId weights) {
  const auto emit = [&](const char* op, ValueId targets) {
    return graph.emit(op, {predictions, targets, weights}).at(0);
  };
  const auto classes = static_cast<double>(graph.spec(predictions).shape[-1]);
  switch (loss.kind) {
    case Loss::Kind::mean_squared_error:
      return emit("mean_squared_error", labels);
    case Loss::Kind::binary_crossentropy:
      return emit(loss.from_logits ? "sigmoid_cross_entropy" : "binary_cross_entropy",
                  smooth(graph, labels, loss.label_smoothing, 2));
    case Loss::Kind::categorical_crossentropy:
      return emit(loss.from_logits ? "softmax_cross_entropy" : "cross_entropy",
                  smooth(graph, labels, loss.label_smoothing, classes));
    case Loss::Kind::sparse_categorical_crossentropy:
      return emit(loss.from_logits ? "softmax_cross_entropy" : "cross_entropy", labels);
    case Loss::Kind::none:
      break;
  }
  throw UsageError("compile() was given no loss");
}

Metric resolve(Metric metric, const Loss& loss, const Spec& output) {
  if (metric != Metric::accuracy) return metric;
  if (label_dtype(loss) == Dtype::i32) return Metric::sparse_categorical_accuracy;
  return output.shape[-1] == 1 ? Metric::binary_accuracy : Metric::categorical_accuracy;
}

ValueId emit_metric(Graph& graph, Metric resolved, ValueId predictions, ValueId labels, ValueId weights) {
  using Kind = ops::Accuracy;
  const Kind kind = resolved == Metric::binary_accuracy        ? Kind::binary
                    : resolved == Metric::categorical_accuracy ? Kind::categorical
                                                               : Kind::sparse_categorical;
  return graph.emit1("accuracy", {predictions, labels, weights}, ops::AccuracyAttrs{kind});
}

std::string metric_name(Metric metric) {
  for (const MetricName& known : kMetrics) {
    if (known.metric == metric) return known.name;
  }
  throw UsageError("metric of no known kind");
}

Metric metric_from(const std::string& name) {
  for (const MetricName& known : kMetrics) {
    if (known.name == name) return known.metric;
  }
  throw DataError(cat("there is no metric '", name, "'"));
}

std::string loss_name(const Loss& loss) {
  for (const LossName& known : kLosses) {
    if (known.kind == loss.kind) return known.name;
  }
  throw UsageError("loss of no known kind");
}

nn::Json to_json(const Loss& loss) {
  return {{"name", loss_name(loss)},
          {"from_logits", loss.from_logits},
          {"label_smoothing", loss.label_smoothing}};
}

Loss loss_from(const nn::Json& json) {
  const nn::ConfigReader config(json, "loss");
  const std::string name = config.text("name", "");
  for (const LossName& known : kLosses) {
    if (known.name == name) {
      return {known.kind, config.boolean("from_logits", false), config.number("label_smoothing", 0)};
    }
  }
  throw DataError(cat("there is no loss '", name, "'"));
}

}  // namespace train
}  // namespace gpunn
