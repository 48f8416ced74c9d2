// mean_squared_error:           predictions [batch, ..., outputs], labels f32 alike, weights?
//                               -> loss f32 [2]  (rows sum)
// mean_squared_error_backward:  predictions, labels, weights?, dloss f32 [2]? -> dpredictions
//  (rows each, accumulates)
//
// A row's loss is the mean over the last axis. Rules: softmax_cross_entropy.hpp.
#pragma once
