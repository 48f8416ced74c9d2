// Losses, metrics and optimizers as nodes of a training graph.
#pragma once

#include <string>

#include "gpunn/graph.hpp"
#include "gpunn/losses.hpp"
#include "gpunn/metrics.hpp"
#include "gpunn/model.hpp"
#include "src/ir/variables.hpp"
#include "src/nn/layer.hpp"

namespace gpunn::train {

// What labels a loss reads: class numbers, or numbers like the output.
Dtype label_dtype(const Loss& loss);

// What each vector of predictions counts: `weights` are the samples', `mask` [batch, steps] leaves steps of
// padding out; either may be kNoValue. As Keras: the loss is the mean over the real steps of a batch,
// weighted or not; metrics leave the weights of samples aside.
struct RowWeights {
  ValueId loss = kNoValue, metrics = kNoValue;
};
RowWeights emit_row_weights(Graph& graph, ValueId predictions, ValueId weights, ValueId mask, bool metrics);

// The (sum, rows) pair of the loss of `predictions`; `weights` may be kNoValue.
ValueId emit_loss(Graph& graph, const Loss& loss, ValueId predictions, ValueId labels, ValueId weights);

// The kind that `accuracy` stands for, as Keras chooses: by the output and the labels the loss reads.
Metric resolve(Metric metric, const Loss& loss, const Spec& output);
ValueId emit_metric(Graph& graph, Metric resolved, ValueId predictions, ValueId labels, ValueId weights);
std::string metric_name(Metric metric);
std::string loss_name(const Loss& loss);

// Slots (moments) the optimizer keeps per parameter.
int slots(const Optimizer& optimizer);
void validate(const Optimizer& optimizer, SourceLocation where);  // throws UsageError
void check_learning_rate(double rate, SourceLocation where);      // likewise
// An embedding's table that is updated at the rows of the batch alone, from what flows back to its output.
struct LazyTable {
  int variable = 0;
  ValueId ids = kNoValue, dy = kNoValue;
};
// The reduce and update segments over all parameters.
void emit_optimizer(Graph& graph, const Optimizer& optimizer, const VariableStore& store,
                    const std::vector<LazyTable>& lazy);

nn::Json to_json(const Loss& loss);
nn::Json to_json(const Optimizer& optimizer);
Loss loss_from(const nn::Json& json);            // throws DataError
Optimizer optimizer_from(const nn::Json& json);  // throws DataError
Metric metric_from(const std::string& name);     // throws DataError

}  // namespace gpunn::train
