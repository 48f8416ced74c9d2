// What the definitions of ops have in common.
#pragma once

#include <cstdint>

#include "gpunn/graph.hpp"

namespace gpunn::ops {

// Whether optional input `k` is given (an absent one is missing from the call or has shape [0]).
inline bool has(const OpCall& call, std::size_t k) {
  return k < call.inputs.size() && call.inputs[k].shape != Shape{0};
}

inline bool is_f32(const OpCall& call, std::size_t k) {
  return call.inputs[k].dtype == Dtype::f32;
}

// Elements of one row of the batch: the product of all extents but the first.
inline std::int64_t row_elements(const Shape& shape) {
  return shape.rank() == 0 ? 1 : shape.without_front().elements();
}

// The product of all extents but the last: how many vectors of shape[-1] there are.
inline std::int64_t leading_elements(const Shape& shape) {
  return shape.rank() == 0 ? 1 : shape.with(-1, 1).elements();
}

// Every operand read or written once.
double operand_bytes(const OpCall& call);

// `flops` and operand_bytes.
inline Cost arithmetic(const OpCall& call, double flops) {
  return {flops, operand_bytes(call)};
}

// For ops that spend a few operations on each element of output 0.
template <int kFlopsPerElement>
Cost per_output_element(const OpCall& call) {
  return arithmetic(call, kFlopsPerElement * static_cast<double>(call.outputs[0].shape.elements()));
}
// ... or of input 0.
template <int kFlopsPerElement>
Cost per_input_element(const OpCall& call) {
  return arithmetic(call, kFlopsPerElement * static_cast<double>(call.inputs[0].shape.elements()));
}

// What losses and metrics ask of their inputs: input 0 is `predictions` [batch, ..., classes], input 2 the
// optional weights: f32, one for each sample or for each vector of classes.
void expect_predictions_and_weights(const OpCall& call);
// Labels of the form of the predictions: as many f32 elements in each row ([batch] fits [batch, 1]).
void expect_dense_labels(const OpCall& call);
// i32 class numbers, one for each vector of classes ([batch] or [batch, 1] for [batch, classes]).
void expect_sparse_labels(const OpCall& call);

}  // namespace gpunn::ops
