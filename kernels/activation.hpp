// Activations over n elements. Forward reads 4n and writes 4n bytes; backward reads 8n and writes 4n.
#pragma once

#include "kernels/activation_body.hpp"
#include "kernels/gpu.hpp"

namespace gpunn::kernels {

enum class Activation : std::uint8_t { linear, relu, sigmoid, tanh, gelu, gelu_tanh };

constexpr bool needs_input_for_backward(Activation kind) {
  return kind == Activation::gelu || kind == Activation::gelu_tanh;
}

// Calls use(Relu{}) or whichever `kind` names.
template <class Use>
void with_activation(Activation kind, Use use) {
  switch (kind) {
    case Activation::linear:
      return use(Linear{});
    case Activation::relu:
      return use(Relu{});
    case Activation::sigmoid:
      return use(Sigmoid{});
    case Activation::tanh:
      return use(Tanh{});
    case Activation::gelu:
      return use(Gelu{});
    case Activation::gelu_tanh:
      return use(GeluTanh{});
  }
}

// y[i] = f(x[i]). y may be x.
void activation_forward(Gpu gpu, Activation kind, std::int64_t n, const float* x, float* y);

// dx[i] (+)= f'(..) * dy[i]. `kept` is x for the kinds that need their input, else y. dx may be dy.
void activation_backward(Gpu gpu, Activation kind, Accumulate mode, std::int64_t n, const float* kept,
                         const float* dy, float* dx);

}  // namespace gpunn::kernels
