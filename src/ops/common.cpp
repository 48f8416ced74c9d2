#include "src/ops/common.hpp"

namespace gpunn::ops {

double operand_bytes(const OpCall& call) {
  double bytes = 0;
  for (const Spec& spec : call.inputs) bytes += static_cast<double>(spec.size_bytes());
  for (const Spec& spec : call.outputs) bytes += static_cast<double>(spec.size_bytes());
  return bytes;
}

void expect_predictions_and_weights(const OpCall& call) {
  expects(call.inputs.size() >= 2, call, "takes predictions, labels and optional weights");
  const Shape& predictions = call.inputs[0].shape;
  expects(is_f32(call, 0) && predictions.rank() >= 2, call, "predictions must be f32 [batch, ..., classes]");
  expects(predictions[-1] > 0, call, "predictions need at least one class");
  if (!has(call, 2)) return;
  const Shape& weights = call.inputs[2].shape;
  expects(is_f32(call, 2) && weights.rank() >= 1 && weights[0] == predictions[0] &&
              (row_elements(weights) == 1 || weights.elements() == leading_elements(predictions)),
          call, "weights must be f32, one for each sample or for each vector of classes");
}

void expect_dense_labels(const OpCall& call) {
  const Shape& predictions = call.inputs[0].shape;
  const Shape& labels = call.inputs[1].shape;
  expects(is_f32(call, 1) && labels.rank() >= 1 && labels[0] == predictions[0] &&
              row_elements(labels) == row_elements(predictions),
          call, "labels must be f32 of the predictions' shape");
}

void expect_sparse_labels(const OpCall& call) {
  const Shape& predictions = call.inputs[0].shape;
  const Shape& labels = call.inputs[1].shape;
  expects(call.inputs[1].dtype == Dtype::i32 && labels.rank() >= 1 && labels[0] == predictions[0] &&
              labels.elements() == leading_elements(predictions),
          call, "sparse labels must be i32, one for each vector of classes");
}

}  // namespace gpunn::ops
