// softmax_cross_entropy:  logits [batch, ..., classes], labels, weights f32 [batch]?
//                         -> loss f32 [2] (rows sum), probabilities as logits (rows each)
// softmax_cross_entropy_backward:  probabilities, labels, weights?, dloss f32 [2]? -> dlogits
//  (rows each, accumulates)
//
// labels: i32 class numbers (sparse), or f32 of the shape of the logits (dense). No attributes.
//
// Every loss op follows the same rules:
// - loss is (sum over rows of weight * row loss, number of rows). What is trained is [0] / [1] for the whole
//   batch: Keras's sum_over_batch_size. With more axes than [batch, classes], each vector counts as a row;
//   weights are then one for each sample, or one for each vector.
// - backward therefore divides by the number of rows of the batch. `dloss` multiplies by its element 0; the
//   gradient of a loss node called with dy[0] == kNoValue emits backward without it: the loss is the root.
// - a label out of range makes its row's loss and gradient NaN; nothing is read out of bounds.
#pragma once
