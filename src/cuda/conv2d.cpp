#include "src/ops/conv2d.hpp"

#include "kernels/conv2d_direct.hpp"
#include "src/cuda/activation.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

kernels::ConvGeometry geometry(const ops::Conv2dAttrs& conv, const Shape& x, ops::Size2d kernel,
                               const Shape& y) {
  kernels::ConvGeometry g;
  g.batch = x[0];
  g.in = x[3];
  g.out = y[3];
  g.groups = conv.groups;
  g.height = {x[1], y[1], kernel.height, conv.strides.height, conv.padding.top, conv.dilation.height};
  g.width = {x[2], y[2], kernel.width, conv.strides.width, conv.padding.left, conv.dilation.width};
  return g;
}

Implementation own_convolution(std::function<void(const Launch&)> run, std::int64_t scratch_floats) {
  Implementation made = own_kernel(std::move(run), scratch_floats > 0 ? 2 : 1,
                                   static_cast<std::size_t>(scratch_floats) * sizeof(float));
  made.name = "own convolution";
  made.why = "fused epilogue, fixed order of sums";
  return made;
}

Implementation forward(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::Conv2dAttrs>();
  const Shape& w = call.inputs[1].shape;
  const auto g = geometry(attrs, call.inputs[0].shape, {w[0], w[1]}, call.outputs[0].shape);
  const auto activation = kernel_kind(attrs.activation);
  return own_convolution(
      [=](const Launch& l) {
        kernels::Epilogue epilogue;
        epilogue.bias = l.in(2);
        epilogue.activation = activation;
        kernels::conv2d_forward(gpu_of(l), g, l.in(0), l.in(1), epilogue, l.out(0),
                                static_cast<float*>(l.scratch));
      },
      kernels::conv2d_forward_scratch_floats(g));
}

Implementation backward_data(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::Conv2dBackwardDataAttrs>();
  const Shape& w = call.inputs[1].shape;
  const auto g = geometry(attrs.conv, call.outputs[0].shape, {w[0], w[1]}, call.inputs[0].shape);
  const auto slope = kernel_kind(attrs.slope);
  return own_convolution(
      [=](const Launch& l) {
        kernels::Epilogue epilogue;
        epilogue.y_before = l.in(2);
        epilogue.slope = slope;
        epilogue.mode = accumulate_of(l, 0);
        kernels::conv2d_backward_data(gpu_of(l), g, l.in(0), l.in(1), epilogue, l.out(0),
                                      static_cast<float*>(l.scratch));
      },
      kernels::conv2d_backward_data_scratch_floats(g));
}

Implementation backward_weights(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::Conv2dBackwardWeightsAttrs>();
  const auto g = geometry(attrs.conv, call.inputs[0].shape, attrs.kernel, call.inputs[1].shape);
  const bool bias = attrs.bias;
  return own_convolution(
      [=](const Launch& l) {
        kernels::ColumnSums sums;
        if (bias) sums = {l.out(1), accumulate_of(l, 1)};
        kernels::conv2d_backward_weights(gpu_of(l), g, accumulate_of(l, 0), l.in(0), l.in(1), l.out(0),
                                         static_cast<float*>(l.scratch), sums);
      },
      kernels::conv2d_backward_weights_scratch_floats(g, bias));
}

}  // namespace

void implement_conv2d() {
  register_op("conv2d", forward);
  register_op("conv2d_backward_data", backward_data);
  register_op("conv2d_backward_weights", backward_weights);
}

}  // namespace gpunn::cuda
