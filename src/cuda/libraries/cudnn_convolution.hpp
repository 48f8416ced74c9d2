// Convolutions by cuDNN: which graph, planned for a device. cuDNN is told of NHWC and of our order of weights
// by strides (its logical order is always N C H W and K C R S). Buffers must be aligned to 16 bytes.
#pragma once

#include "src/cuda/libraries/convolution.hpp"
#include "src/cuda/libraries/cudnn_graph.hpp"

namespace gpunn::cuda {

// Names of the operands in an execution.
enum ConvolutionId : std::int64_t { kConvX = 1, kConvW = 2, kConvY = 3, kConvBias = 4 };

// Throws DeviceError with the reason when cuDNN has no engine within the rules. rules.tensor_cores is set by
// `type`.
EnginePlan plan_convolution(const CudnnDevice& device, const Convolution& convolution,
                            EngineRules rules = {});

}  // namespace gpunn::cuda
