// cross_entropy:           probabilities [batch, ..., classes], labels (i32 sparse or f32 dense), weights?
//                          -> loss f32 [2]  (rows sum)
// cross_entropy_backward:  probabilities, labels, weights?, dloss f32 [2]? -> dprobabilities
//  (rows each, accumulates)
//
// As Keras: probabilities are divided by their sum and clipped to [1e-7, 1 - 1e-7]; nothing flows back where
// clipped. For probabilities that are not a softmax's output: that pair is computed as softmax_cross_entropy.
// Rules: softmax_cross_entropy.hpp.
#pragma once
