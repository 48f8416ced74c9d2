#include "src/ops/global_pool2d.hpp"

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

// Calls run(slice, a pool whose only window is the whole image).
template <class Run>
Implementation over_images(const Shape& image, Run run) {
  const simd::Pool2d pool{.batch = 0,
                          .height = image[1],
                          .width = image[2],
                          .channels = image[3],
                          .window_h = image[1],
                          .window_w = image[2],
                          .out_h = 1,
                          .out_w = 1};
  return sliced("simd pool", "one window: the image", [pool, run](const Slice& s) {
    simd::Pool2d slice = pool;
    slice.batch = s.rows;
    run(s, slice);
  });
}

Implementation max_forward(const OpCall& call, const Target&) {
  return over_images(call.inputs[0].shape, [](const Slice& s, const simd::Pool2d& pool) {
    simd::kernels().pool.max(pool, s.in(0), s.out(0), s.out<std::int32_t>(1));
  });
}

Implementation max_backward(const OpCall& call, const Target&) {
  return over_images(call.outputs[0].shape, [](const Slice& s, const simd::Pool2d& pool) {
    simd::kernels().pool.max_backward(pool, s.in(0), s.in<std::int32_t>(1), s.out(0), s.add(0));
  });
}

Implementation average_forward(const OpCall& call, const Target&) {
  return over_images(call.inputs[0].shape, [](const Slice& s, const simd::Pool2d& pool) {
    simd::kernels().pool.average(pool, s.in(0), s.out(0));
  });
}

Implementation average_backward(const OpCall& call, const Target&) {
  return over_images(call.outputs[0].shape, [](const Slice& s, const simd::Pool2d& pool) {
    simd::kernels().pool.average_backward(pool, s.in(0), s.out(0), s.add(0));
  });
}

}  // namespace

void implement_global_pool2d(Registry& registry) {
  registry.add("global_max_pool2d", max_forward);
  registry.add("global_max_pool2d_backward", max_backward);
  registry.add("global_average_pool2d", average_forward);
  registry.add("global_average_pool2d_backward", average_backward);
}

}  // namespace gpunn::cpu
