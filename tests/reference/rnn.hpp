// Recurrent layers in double, from their formulas, one number at a time: the oracle of the float kernels. It
// is itself checked against central differences.
#pragma once

#include <cstdint>
#include <vector>

#include "src/cpu/simd/rnn_sequence.hpp"

namespace gpunn::reference {

using cpu::simd::RnnActivation;
using cpu::simd::RnnCell;
using cpu::simd::RnnShape;
using Numbers = std::vector<double>;

// What a layer reads, and the gradients that come to it. Empty: absent. Shapes as in RnnWeights, RnnInputs,
// RnnBackward.
struct RnnProblem {
  RnnShape shape;
  Numbers x, kernel, recurrent, bias, h0, c0, input_mask, recurrent_mask;
  std::vector<std::uint8_t> mask;
  Numbers dy, dh_last, dc_last;
};

struct RnnOutputs {
  Numbers y, h_last, c_last;
};

struct RnnGradients {
  Numbers dx, dkernel, drecurrent, dbias, dh0, dc0;
};

double activate(RnnActivation kind, double x);

RnnOutputs forward(const RnnProblem& problem);
RnnGradients backward(const RnnProblem& problem);
// sum(y dy) + sum(h_last dh_last) + sum(c_last dc_last), whose gradients backward() returns.
double loss(const RnnProblem& problem);

}  // namespace gpunn::reference
