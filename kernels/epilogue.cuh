// What becomes of the finished sums of products and convolutions.
#pragma once

#include <cuda_runtime.h>

#include "kernels/activation.hpp"
#include "kernels/epilogue.hpp"
#include "kernels/vector.cuh"

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

// kCount neighbours in a row; y, y_before and bias are aligned to as many.
template <int kCount>
__device__ __forceinline__ void finish(const Epilogue& e, float* y, std::int64_t i, std::int64_t column,
                                       Pack<float, kCount> sums) {
  const auto bias = e.bias == nullptr ? Pack<float, kCount>{} : load<kCount>(e.bias + column);
  const auto before = e.y_before == nullptr ? Pack<float, kCount>{} : load<kCount>(e.y_before + i);
  const auto old = e.mode == Accumulate::add ? load<kCount>(y + i) : Pack<float, kCount>{};
  GPUNN_UNROLL
  for (int j = 0; j < kCount; ++j) {
    float& sum = sums.v[j];
    if (e.bias != nullptr) sum += bias.v[j];
    sum = activate(e.activation, sum);
    if (e.y_before != nullptr) sum *= slope_of_output(e.slope, before.v[j]);
    if (e.mode == Accumulate::add) sum = old.v[j] + sum;
  }
  store(y + i, sums);
}

__device__ __forceinline__ void finish(const Epilogue& e, float* y, std::int64_t i, std::int64_t column,
                                       float sum) {
  finish(e, y, i, column, Pack<float, 1>{{sum}});
}

__device__ __forceinline__ void finish(const ColumnSums& sums, std::int64_t column, float sum) {
  sums.y[column] = sums.mode == Accumulate::add ? sums.y[column] + sum : sum;
}

inline void require_epilogue(const Epilogue& e) {
  require(e.y_before == nullptr || !needs_input_for_backward(e.slope),
          "epilogue: the slope of gelu needs the activation's input");
}

}  // namespace gpunn::kernels
