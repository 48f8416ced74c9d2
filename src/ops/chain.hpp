// chain:  x [batch, ...], operands... -> y of x's shape: several elementwise steps on x, one after the other,
// in
//         one pass over memory  (rows each, accumulates)
//
// Made by a pass out of binary, activation, activation_backward and affine nodes of which each is read by the
// next alone. An operand has x's shape (and batch), or is constant and broadcasts over leading axes: its
// shape, without ones in front, is the end of x's. Attributes ChainAttrs.
#pragma once

#include <string>
#include <vector>

#include "gpunn/export.hpp"
#include "gpunn/graph.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/affine.hpp"
#include "src/ops/binary.hpp"

namespace gpunn::ops {

struct ChainStep {
  enum class Kind {
    binary,      // v = v op operand
    activation,  // v = act(v)
    slope,       // v = v * act'(operand), where the operand is act's output (gelu: its input)
    affine,      // v = v * scale + offset
  };
  Kind kind = Kind::affine;
  Binary binary = Binary::add;
  Activation activation = Activation::linear;
  AffineAttrs affine = {};
  int operand = -1;  // the input that the step reads besides v
};

inline constexpr int kMaxChainSteps = 8;

struct ChainAttrs {
  std::vector<ChainStep> steps;  // from 1 to kMaxChainSteps
};

// Whether `operand` may be one of a chain on `x`.
bool fits_chain(const Spec& x, bool x_batched, const Spec& operand, bool operand_batched);

// "add, relu": for plans.
GPUNN_API std::string to_string(const ChainAttrs& attrs);

}  // namespace gpunn::ops
