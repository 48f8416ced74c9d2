#include "src/ops/pool2d.hpp"

#include "src/cuda/activation.hpp"
#include "src/cuda/pooling.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

kernels::PoolGeometry forward_geometry(const OpCall& call) {
  const auto& attrs = call.attrs_as<ops::Pool2dAttrs>();
  return pool_geometry(call.inputs[0].shape, call.outputs[0].shape, attrs.window, attrs.strides,
                       attrs.padding);
}

kernels::PoolGeometry backward_geometry(const OpCall& call, const ops::Pool2dAttrs& pool) {
  return pool_geometry(call.outputs[0].shape, call.inputs[0].shape, pool.window, pool.strides, pool.padding);
}

Implementation max_forward(const OpCall& call, const Target&) {
  const auto g = forward_geometry(call);
  return own_kernel([=](const Launch& l) {
    kernels::max_pool_forward(gpu_of(l), g, l.in(0), l.out(0), l.out<std::int32_t>(1));
  });
}

const ops::Pool2dAttrs& pool_of(const OpCall& call) {
  return call.attrs_as<ops::Pool2dBackwardAttrs>().pool;
}

Implementation max_backward_slope(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::Pool2dBackwardSlopeAttrs>();
  const auto g = backward_geometry(call, attrs.backward.pool);
  const auto slope = kernel_kind(attrs.slope);
  return own_kernel([=](const Launch& l) {
    kernels::max_pool_backward(gpu_of(l), g, accumulate_of(l, 0), l.in(0), l.in<std::int32_t>(1), l.out(0),
                               {slope, l.in(2)});
  });
}

Implementation max_backward(const OpCall& call, const Target&) {
  const auto g = backward_geometry(call, pool_of(call));
  return own_kernel([=](const Launch& l) {
    kernels::max_pool_backward(gpu_of(l), g, accumulate_of(l, 0), l.in(0), l.in<std::int32_t>(1), l.out(0));
  });
}

Implementation average_forward(const OpCall& call, const Target&) {
  const auto g = forward_geometry(call);
  return own_kernel([=](const Launch& l) { kernels::average_pool_forward(gpu_of(l), g, l.in(0), l.out(0)); });
}

Implementation average_backward(const OpCall& call, const Target&) {
  const auto g = backward_geometry(call, pool_of(call));
  return own_kernel([=](const Launch& l) {
    kernels::average_pool_backward(gpu_of(l), g, accumulate_of(l, 0), l.in(0), l.out(0));
  });
}

}  // namespace

void implement_pool2d() {
  register_op("max_pool2d", max_forward);
  register_op("max_pool2d_backward", max_backward);
  register_op("max_pool2d_backward_slope", max_backward_slope);
  register_op("average_pool2d", average_forward);
  register_op("average_pool2d_backward", average_backward);
}

}  // namespace gpunn::cuda
