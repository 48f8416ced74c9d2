#include "src/ops/conv2d.hpp"

#include "kernels/conv2d_direct.hpp"
#include "src/cuda/activation.hpp"
#include "src/cuda/bias_gradient.hpp"
#include "src/cuda/libraries/convolution.hpp"
#include "src/cuda/registry.hpp"
#include "src/ops/common.hpp"

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

using kernels::Accumulate;

// A convolution as the library is asked for it, and as our kernel does it.
struct Node {
  Convolution convolution;
  std::function<ConvolutionPointers(const Launch&)> pointers;
  Afterwards after;
  OwnKernel own;
};

Node node_of(const Target& target, ConvolutionPass pass, const kernels::ConvGeometry& g,
             std::int64_t scratch_floats) {
  // One-channel images and depthwise kernels: memory-bound, and the library's engines are made for many
  // channels.
  constexpr std::int64_t kFewTaps = 32;
  Node node;
  node.convolution.geometry = g;
  node.convolution.pass = pass;
  node.convolution.type = target.tf32 ? ConvolutionType::tf32 : ConvolutionType::fp32;
  node.own.name = "own convolution";
  node.own.scratch = static_cast<std::size_t>(scratch_floats) * sizeof(float);
  node.own.launches = scratch_floats > 0 ? 2 : 1;
  if (g.taps() <= kFewTaps) node.own.why = "few taps: memory-bound";
  if (g.flops() == 0) node.own.why = "empty";
  if (!target.libraries) node.own.why = "libraries are switched off";
  return node;
}

std::string name_of(const ConvolutionEngine& engine) {
  return "cudnn engine " + std::to_string(engine.number) + (engine.tf32 ? " (TF32)" : "") +
         (engine.deterministic ? "" : " (not deterministic)");
}

Implementation implement_convolution(const Target& target, Node node) {
  LibraryCall library;
  if (node.own.why.empty()) {
    const auto engine = find_engine(target, node.convolution, node.own.why);
    if (engine) {
      library.name = name_of(*engine);
      library.why = "the first of its heuristic " + engine->heuristic;
      library.scratch = engine->workspace;
    } else {
      node.own.fallback = instead_of("cudnn", node.own.name, node.own.why);
    }
  }
  library.bind = [convolution = node.convolution, pointers = node.pointers, booked = library.scratch,
                  deterministic = target.deterministic](const Launch& l,
                                                        Libraries& libraries) -> LibraryCall::Bound {
    std::string why;
    const auto plan = ConvolutionPlan::bind(libraries.cudnn(), convolution, pointers(l), deterministic,
                                            l.scratch, booked, why);
    if (!plan) return {{}, why, {}};
    return {name_of(plan->engine()), {}, [plan = *plan](const Launch& now) { plan.run(now.stream); }};
  };
  return library_or_own(std::move(library), std::move(node.after), std::move(node.own));
}

float* writable(const float* operand) {  // the library's interface knows no const
  return const_cast<float*>(operand);
}

Implementation forward(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dAttrs>();
  const Shape& w = call.inputs[1].shape;
  const auto g = geometry(attrs, call.inputs[0].shape, {w[0], w[1]}, call.outputs[0].shape);
  const auto activation = kernel_kind(attrs.activation);
  Node node = node_of(target, ConvolutionPass::forward, g, kernels::conv2d_forward_scratch_floats(g));
  node.convolution.bias = ops::has(call, 2);
  node.convolution.relu = activation == kernels::Activation::relu;
  node.pointers = [](const Launch& l) {
    return ConvolutionPointers{writable(l.in(0)), writable(l.in(1)), l.out(0), writable(l.in(2))};
  };
  node.own.run = [=](const Launch& l) {
    kernels::conv2d_forward(gpu_of(l), g, l.in(0), l.in(1), {.bias = l.in(2), .activation = activation},
                            l.out(0), static_cast<float*>(l.scratch));
  };
  if (activation != kernels::Activation::linear && activation != kernels::Activation::relu) {
    const auto activate = [=](const Launch& l) {
      kernels::activation_forward(gpu_of(l), activation, g.y_pixels() * g.out, l.out(0), l.out(0));
    };
    follow_with(g.flops(), "the activation", {activate, 1, 0}, node.after, node.own);
  }
  return implement_convolution(target, std::move(node));
}

Implementation backward_data(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dBackwardDataAttrs>();
  const Shape& w = call.inputs[1].shape;
  const auto g = geometry(attrs.conv, call.outputs[0].shape, {w[0], w[1]}, call.inputs[0].shape);
  const auto slope = kernel_kind(attrs.slope);
  const auto mode = accumulate_of(call, 0);
  Node node =
      node_of(target, ConvolutionPass::backward_data, g, kernels::conv2d_backward_data_scratch_floats(g));
  node.convolution.mode = mode;
  node.pointers = [](const Launch& l) {
    return ConvolutionPointers{l.out(0), writable(l.in(1)), writable(l.in(0)), nullptr};
  };
  node.own.run = [=](const Launch& l) {
    kernels::conv2d_backward_data(gpu_of(l), g, l.in(0), l.in(1),
                                  {.y_before = l.in(2), .slope = slope, .mode = mode}, l.out(0),
                                  static_cast<float*>(l.scratch));
  };
  if (ops::has(call, 2) && mode == Accumulate::add) {
    if (node.own.why.empty()) node.own.why = "a slope before a sum";
  } else if (ops::has(call, 2)) {
    const auto multiply = [=](const Launch& l) {
      kernels::activation_backward(gpu_of(l), slope, Accumulate::overwrite, g.x_pixels() * g.in, l.in(2),
                                   l.out(0), l.out(0));
    };
    follow_with(g.flops(), "the slope", {multiply, 1, 0}, node.after, node.own);
  }
  return implement_convolution(target, std::move(node));
}

Implementation backward_weights(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dBackwardWeightsAttrs>();
  const auto g = geometry(attrs.conv, call.inputs[0].shape, attrs.kernel, call.inputs[1].shape);
  const auto mode = accumulate_of(call, 0), bias_mode = accumulate_of(call, 1);
  const bool bias = attrs.bias;
  Node node = node_of(target, ConvolutionPass::backward_weights, g,
                      kernels::conv2d_backward_weights_scratch_floats(g, attrs.bias));
  node.convolution.mode = mode;
  node.pointers = [](const Launch& l) {
    return ConvolutionPointers{writable(l.in(0)), l.out(0), writable(l.in(1)), nullptr};
  };
  node.own.run = [=](const Launch& l) {
    kernels::ColumnSums sums;
    if (bias) sums = {l.out(1), bias_mode};
    kernels::conv2d_backward_weights(gpu_of(l), g, mode, l.in(0), l.in(1), l.out(0),
                                     static_cast<float*>(l.scratch), sums);
  };
  if (bias) {
    follow_with(g.flops(), "the gradient of the bias", bias_gradient({g.y_pixels(), g.out}, bias_mode),
                node.after, node.own);
  }
  return implement_convolution(target, std::move(node));
}

}  // namespace

void implement_conv2d() {
  register_op("conv2d", forward);
  register_op("conv2d_backward_data", backward_data);
  register_op("conv2d_backward_weights", backward_weights);
}

}  // namespace gpunn::cuda
