// softmax:           x [..., classes] -> y, over the last axis  (rows each)
// softmax_backward:  y, dy -> dx = y * (dy - sum(y * dy))  (rows each, accumulates)
//
// No attributes. The largest x of each vector is subtracted first, so nothing overflows.
#pragma once
