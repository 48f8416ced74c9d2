// binary_cross_entropy:           probabilities [batch, ..., outputs], labels f32 alike, weights?
//                                 -> loss f32 [2]  (rows sum)
// binary_cross_entropy_backward:  probabilities, labels, weights?, dloss f32 [2]? -> dprobabilities
//  (rows each, accumulates)
//
// As Keras: probabilities are clipped to [1e-7, 1 - 1e-7]; a row's loss is the mean over the last axis;
// nothing flows back where clipped. Rules: softmax_cross_entropy.hpp.
#pragma once
