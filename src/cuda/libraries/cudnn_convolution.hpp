// Convolutions by cuDNN: which graph, planned for a device.
//
// Images NHWC, weights [height, width, in / groups, out] as kernels/conv2d_direct.hpp has them; cuDNN is told
// by strides (its logical order is always N C H W and K C R S). Buffers must be aligned to 16 bytes: see
// aligned_for_cudnn().
#pragma once

#include "kernels/conv2d_direct.hpp"
#include "src/cuda/libraries/cudnn_graph.hpp"

namespace gpunn::cuda {

enum class ConvolutionPass : std::uint8_t { forward, backward_data, backward_weights };
enum class ConvolutionType : std::uint8_t {
  fp32,  // float operands, float arithmetic
  tf32,  // float operands, tensor cores allowed
  bf16,  // bfloat16 operands, float sums
};
enum class WeightLayout : std::uint8_t {
  hwio,  // [height, width, in, out], as Keras and this library keep them
  ohwi,  // [out, height, width, in], what tensor-core engines want
};

struct Convolution {
  kernels::ConvGeometry geometry;
  ConvolutionPass pass = ConvolutionPass::forward;
  ConvolutionType type = ConvolutionType::fp32;
  WeightLayout weights = WeightLayout::ohwi;
  bool bias_relu = false;  // forward only: y = relu(x * w + bias) in the same launch
};

// Names of the operands in an execution.
enum ConvolutionId : std::int64_t { kConvX = 1, kConvW = 2, kConvY = 3, kConvBias = 4 };

// Throws DeviceError with the reason when cuDNN has no engine within the rules. rules.tensor_cores is set by
// `type`.
EnginePlan plan_convolution(const CudnnDevice& device, const Convolution& convolution,
                            EngineRules rules = {});

inline bool aligned_for_cudnn(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

}  // namespace gpunn::cuda
