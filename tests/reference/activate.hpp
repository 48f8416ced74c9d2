// The activations, for references of ops that apply one in their epilogue.
#pragma once

#include "src/ops/activation.hpp"

namespace gpunn::reference {

float activate(ops::Activation kind, float x);
double activate(ops::Activation kind, double x);
// From the output y; gelu's from its input.
float activation_slope(ops::Activation kind, float y);
double activation_slope(ops::Activation kind, double y);

}  // namespace gpunn::reference
