#include "src/ops/pool2d.hpp"

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kName = "simd pool";
constexpr const char* kWhy = "vectorised over channels";

simd::Pool2d describe(const ops::Pool2dAttrs& attrs, const Shape& x, const Shape& y) {
  return {.batch = 0,
          .height = x[1],
          .width = x[2],
          .channels = x[3],
          .window_h = attrs.window.height,
          .window_w = attrs.window.width,
          .stride_h = attrs.strides.height,
          .stride_w = attrs.strides.width,
          .pad_top = attrs.padding.top,
          .pad_left = attrs.padding.left,
          .out_h = y[1],
          .out_w = y[2]};
}

// Calls run(slice, the pool of its images).
template <class Run>
Implementation over_images(const simd::Pool2d& pool, Run run) {
  return sliced(kName, kWhy, [pool, run](const Slice& s) {
    simd::Pool2d slice = pool;
    slice.batch = s.rows;
    run(s, slice);
  });
}

simd::Pool2d forward_pool(const OpCall& call) {
  return describe(call.attrs_as<ops::Pool2dAttrs>(), call.inputs[0].shape, call.outputs[0].shape);
}
simd::Pool2d backward_pool(const OpCall& call) {
  return describe(call.attrs_as<ops::Pool2dBackwardAttrs>().pool, call.outputs[0].shape,
                  call.inputs[0].shape);
}

Implementation max_forward(const OpCall& call, const Target&) {
  return over_images(forward_pool(call), [](const Slice& s, const simd::Pool2d& pool) {
    simd::kernels().pool.max(pool, s.in(0), s.out(0), s.out<std::int32_t>(1));
  });
}

Implementation max_backward(const OpCall& call, const Target&) {
  return over_images(backward_pool(call), [](const Slice& s, const simd::Pool2d& pool) {
    simd::kernels().pool.max_backward(pool, s.in(0), s.in<std::int32_t>(1), s.out(0), s.add(0));
  });
}

Implementation average_forward(const OpCall& call, const Target&) {
  return over_images(forward_pool(call), [](const Slice& s, const simd::Pool2d& pool) {
    simd::kernels().pool.average(pool, s.in(0), s.out(0));
  });
}

Implementation average_backward(const OpCall& call, const Target&) {
  return over_images(backward_pool(call), [](const Slice& s, const simd::Pool2d& pool) {
    simd::kernels().pool.average_backward(pool, s.in(0), s.out(0), s.add(0));
  });
}

}  // namespace

void implement_pool2d(Registry& registry) {
  registry.add("max_pool2d", max_forward);
  registry.add("max_pool2d_backward", max_backward);
  registry.add("average_pool2d", average_forward);
  registry.add("average_pool2d_backward", average_backward);
}

}  // namespace gpunn::cpu
