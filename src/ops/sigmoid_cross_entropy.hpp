// sigmoid_cross_entropy:  logits [batch, ..., outputs], labels f32 alike, weights f32 [batch]?
//                         -> loss f32 [2] (rows sum), probabilities as logits (rows each)
// sigmoid_cross_entropy_backward:  probabilities, labels, weights?, dloss f32 [2]? -> dlogits
//  (rows each, accumulates)
//
// A row's loss is the mean over the last axis, as Keras's BinaryCrossentropy. Rules as in
// softmax_cross_entropy.hpp.
#pragma once
