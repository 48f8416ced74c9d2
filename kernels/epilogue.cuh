// What becomes of the finished sums of products and convolutions.
#pragma once

#include <cuda_runtime.h>

#include "kernels/activation.hpp"
#include "kernels/epilogue.hpp"

namespace gpunn::kernels {

// The activation is chosen per element: the choice is the same for all threads, and small beside the sum.
__device__ __forceinline__ float activate(Activation kind, float v) {
  switch (kind) {
    case Activation::linear:
      return v;
    case Activation::relu:
      return Relu::value(v);
    case Activation::sigmoid:
      return Sigmoid::value(v);
    case Activation::tanh:
      return Tanh::value(v);
    case Activation::gelu:
      return Gelu::value(v);
    case Activation::gelu_tanh:
      return GeluTanh::value(v);
  }
  return v;
}

// By the output y; the gelus have no such slope and are refused by the launchers.
__device__ __forceinline__ float slope_of_output(Activation kind, float y) {
  switch (kind) {
    case Activation::relu:
      return Relu::slope(y);
    case Activation::sigmoid:
      return Sigmoid::slope(y);
    case Activation::tanh:
      return Tanh::slope(y);
    default:
      return 1;
  }
}

__device__ __forceinline__ void finish(const Epilogue& e, float* y, std::int64_t i, std::int64_t column,
                                       float sum) {
  if (e.bias != nullptr) sum += e.bias[column];
  sum = activate(e.activation, sum);
  if (e.y_before != nullptr) sum *= slope_of_output(e.slope, e.y_before[i]);
  y[i] = e.mode == Accumulate::add ? y[i] + sum : sum;
}

__device__ __forceinline__ void finish(const ColumnSums& sums, std::int64_t column, float sum) {
  sums.y[column] = sums.mode == Accumulate::add ? sums.y[column] + sum : sum;
}

inline void require_epilogue(const Epilogue& e) {
  require(e.y_before == nullptr || !needs_input_for_backward(e.slope),
          "epilogue: the slope of gelu needs the activation's input");
}

}  // namespace gpunn::kernels
