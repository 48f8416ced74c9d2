// accuracy:  predictions [batch, ..., classes], labels, weights f32 [batch]? -> f32 [2]  (rows sum)
//
// The result is (sum of weight * hit, sum of weights). A metric: nothing flows back. kinds, as in Keras:
//   binary               labels f32 alike: a row's hit is the share of outputs on the label's side of 0.5
//   categorical          labels f32 alike: the largest label and prediction are at the same place
//   sparse_categorical   labels i32: the largest prediction is there
// Of equal ones the first counts as largest.
#pragma once

namespace gpunn::ops {

enum class Accuracy { binary, categorical, sparse_categorical };

struct AccuracyAttrs {
  Accuracy kind = Accuracy::sparse_categorical;
};

}  // namespace gpunn::ops
