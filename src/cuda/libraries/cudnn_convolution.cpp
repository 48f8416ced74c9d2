#include "src/cuda/libraries/cudnn_convolution.hpp"

namespace gpunn::cuda {
namespace {

using Dims = std::vector<std::int64_t>;

Descriptor tensor(std::int64_t id, cudnnDataType_t type, const Dims& dims, const Dims& strides,
                  bool is_virtual = false) {
  Descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, dims)
      .set(CUDNN_ATTR_TENSOR_STRIDES, strides)
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16});
  if (is_virtual) t.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
  t.finalize();
  return t;
}

// Channels side by side.
Dims image_strides(std::int64_t channels, std::int64_t height, std::int64_t width) {
  return {channels * height * width, 1, channels * width, channels};
}

// [height, width, in, out] seen as K C R S.
Dims weight_strides(const kernels::ConvGeometry& g) {
  const std::int64_t in = g.group_in();
  return {1, g.out, g.width.kernel * in * g.out, in * g.out};
}

// What is needed behind the image so that the last window fits; negative where it ends before the image does.
std::int64_t padding_behind(const kernels::ConvAxis& a) {
  return (a.out - 1) * a.stride + (a.kernel - 1) * a.dilation + 1 - a.in - a.padding;
}

Descriptor convolution_of(const kernels::ConvGeometry& g) {
  const auto behind = [](const kernels::ConvAxis& a) { return std::max<std::int64_t>(0, padding_behind(a)); };
  Descriptor c(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  c.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
      .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2})
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, Dims{g.height.padding, g.width.padding})
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, Dims{behind(g.height), behind(g.width)})
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, Dims{g.height.dilation, g.width.dilation})
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, Dims{g.height.stride, g.width.stride})
      .finalize();
  return c;
}

// cuDNN's attribute names of one pass.
struct PassNames {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};
PassNames names_of(ConvolutionPass pass) {
  switch (pass) {
    case ConvolutionPass::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case ConvolutionPass::backward_data:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    case ConvolutionPass::backward_weights:
      break;
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

Descriptor pointwise(cudnnPointwiseMode_t mode, const Descriptor& x, const Descriptor* b,
                     const Descriptor& y) {
  Descriptor how(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  how.set(CUDNN_ATTR_POINTWISE_MODE, mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  // Else a NaN is 0 behind it, and nobody hears of it.
  if (mode == CUDNN_POINTWISE_RELU_FWD) how.set(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_PROPAGATE_NAN);
  how.finalize();
  Descriptor operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how)
      .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x)
      .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  if (b != nullptr) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
  operation.finalize();
  return operation;
}

}  // namespace

EnginePlan plan_convolution(const CudnnDevice& device, const Convolution& convolution, EngineRules rules) {
  const kernels::ConvGeometry& g = convolution.geometry;
  const bool fused = convolution.bias || convolution.relu, add = convolution.mode == kernels::Accumulate::add;
  kernels::require(!fused || (convolution.pass == ConvolutionPass::forward && !add),
                   "plan_convolution: bias and relu belong to the forward pass, which overwrites");
  rules.tensor_cores = convolution.type != ConvolutionType::fp32;
  const cudnnDataType_t type =
      convolution.type == ConvolutionType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  const Dims y_dims = {g.batch, g.out, g.height.out, g.width.out};
  const Dims y_strides = image_strides(g.out, g.height.out, g.width.out);
  const Descriptor x = tensor(kConvX, type, {g.batch, g.in, g.height.in, g.width.in},
                              image_strides(g.in, g.height.in, g.width.in));
  const Descriptor w =
      tensor(kConvW, type, {g.out, g.group_in(), g.height.kernel, g.width.kernel}, weight_strides(g));
  const Descriptor y = tensor(kConvY, type, y_dims, y_strides);
  // Between the fused steps: never in memory, in float.
  const auto between = [&](std::int64_t id) { return tensor(id, CUDNN_DATA_FLOAT, y_dims, y_strides, true); };
  const Descriptor bias = tensor(kConvBias, type, {1, g.out, 1, 1}, {g.out, 1, g.out, g.out});

  const PassNames names = names_of(convolution.pass);
  const Descriptor how = convolution_of(g);
  std::vector<Descriptor> operations;
  Descriptor sums;
  if (fused) sums = between(100);
  Descriptor operation(names.operation);
  operation.set(names.x, x)
      .set(names.w, w)
      .set(names.y, fused ? sums : y)
      .set(names.convolution, how)
      .set(names.alpha, 1.0f)
      .set(names.beta, add ? 1.0f : 0.0f)
      .finalize();
  operations.push_back(std::move(operation));
  if (convolution.bias) {
    Descriptor biased;
    if (convolution.relu) biased = between(101);
    operations.push_back(pointwise(CUDNN_POINTWISE_ADD, sums, &bias, convolution.relu ? biased : y));
    sums = std::move(biased);
  }
  if (convolution.relu) operations.push_back(pointwise(CUDNN_POINTWISE_RELU_FWD, sums, nullptr, y));
  return plan_engine(device, operations, rules);
}

}  // namespace gpunn::cuda
