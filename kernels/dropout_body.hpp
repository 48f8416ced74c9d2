// What an element of a dropout is multiplied by.
#pragma once

#include "gpunn/random.hpp"
#include "kernels/dropout.hpp"
#include "kernels/hd.hpp"

namespace gpunn::kernels {

GPUNN_HD inline PhiloxKey dropout_key(const DropoutAttributes& attributes, const StepState& state) {
  return {state.seed, attributes.stream, static_cast<std::uint32_t>(state.step)};
}
// By one word of a Philox block.
GPUNN_HD inline float dropout_factor(const DropoutAttributes& attributes, std::uint32_t word) {
  return uniform01(word) < attributes.rate ? 0.0f : 1.0f / (1.0f - attributes.rate);
}

}  // namespace gpunn::kernels
