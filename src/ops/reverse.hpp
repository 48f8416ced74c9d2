// reverse:  x [batch, steps, ...] -> y, alike: the steps of every sample from the last to the first
//  (rows each, accumulates). The gradient is the same op on dy.
#pragma once
