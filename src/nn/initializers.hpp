#pragma once

#include <cstdint>
#include <span>

#include "gpunn/layers.hpp"
#include "src/nn/layer.hpp"

namespace gpunn::nn {

// Fills `values`, the elements of a variable of this shape. A function of (seed, index, shape) alone.
void initialize(const Initializer& initializer, const Shape& shape, std::uint64_t seed, std::uint32_t index,
                std::span<float> values);

// What a unit of the variable reads from and feeds into, as Keras counts: kernels [..., in, out].
struct Fans {
  double in = 1, out = 1;
};
Fans fans(const Shape& shape);

}  // namespace gpunn::nn
