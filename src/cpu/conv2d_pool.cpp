#include "src/ops/conv2d_pool.hpp"

#include "src/cpu/common.hpp"
#include "src/cpu/simd/conv_gradient.hpp"

namespace gpunn::cpu {
namespace {

constexpr std::int64_t kAlignFloats = 16;  // parts of scratch begin on cache lines
std::int64_t padded(std::int64_t floats) {
  return (floats + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
}

// y is the pooled map.
simd::Conv2d describe(const ops::Padding2d& padding, const Shape& x, const Shape& w, const Shape& y,
                      std::int64_t rows) {
  simd::Conv2d conv;
  conv.batch = rows;
  conv.height = x[1], conv.width = x[2], conv.channels = x[3];
  conv.kernel_h = w[0], conv.kernel_w = w[1], conv.filters = w[3];
  conv.pad_top = padding.top, conv.pad_left = padding.left;
  conv.out_h = y[1], conv.out_w = y[2];
  conv.x_row = x[2] * x[3], conv.x_image = x[1] * conv.x_row;
  conv.y_row = y[2] * y[3], conv.y_image = y[1] * conv.y_row;
  return conv;
}

Implementation forward(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dPoolAttrs>();
  const simd::Conv2d conv = describe(attrs.padding, call.inputs[0].shape, call.inputs[1].shape,
                                     call.outputs[0].shape, target.slice_rows);
  const auto& kernels = simd::kernels().conv;
  const std::int64_t prepared = padded(kernels.prepared_floats(conv));
  const bool bias = ops::has(call, 2);
  const auto activation = to_simd(attrs.activation);
  const auto run = [=](const Slice& s) {
    simd::Conv2d slice = conv;
    slice.batch = s.rows;
    auto* weights = static_cast<float*>(s.scratch);
    const auto& kernel = simd::kernels().conv;
    kernel.prepare(slice, s.in(1), weights);
    kernel.forward_pooled(slice, bias ? s.in(2) : nullptr, activation, s.in(0), weights, s.out(0),
                          s.out<std::uint8_t>(1), weights + prepared);
  };
  return sliced(std::string("simd ") + kernels.method(conv) + " + pool", "the unpooled map is never stored",
                run, floats(prepared + kernels.pooled_scratch_floats(conv)));
}

Implementation backward_data(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dPoolBackwardDataAttrs>();
  const simd::Conv2d conv = describe(attrs.padding, call.outputs[0].shape, call.inputs[1].shape,
                                     call.inputs[0].shape, target.slice_rows);
  const auto& kernels = simd::kernels().conv_gradient;
  const std::int64_t weights = padded(kernels.by_filter_floats(conv));
  const auto run = [=](const Slice& s) {
    simd::Conv2d slice = conv;
    slice.batch = s.rows;
    auto* by_filter = static_cast<float*>(s.scratch);
    const auto& kernel = simd::kernels().conv_gradient;
    kernel.prepare_by_filter(slice, s.in(1), by_filter);
    kernel.pooled_data(slice, by_filter, s.in(0), s.in<std::uint8_t>(2), s.out(0), s.add(0),
                       by_filter + weights);
  };
  return sliced("simd winners", "only elements that won carry a gradient", run,
                floats(weights + kernels.pooled_data_scratch_floats(conv)));
}

Implementation backward_weights(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dPoolBackwardWeightsAttrs>();
  const simd::Conv2d conv = describe(attrs.padding, call.inputs[0].shape, call.outputs[0].shape,
                                     call.inputs[1].shape, target.slice_rows);
  const auto& kernels = simd::kernels().conv_gradient;
  const std::int64_t work = padded(kernels.pooled_weights_scratch_floats(conv));
  const std::int64_t filters = attrs.bias ? conv.filters : 0;
  const bool bias = attrs.bias;
  const auto run = [=](const Slice& s) {
    simd::Conv2d slice = conv;
    slice.batch = s.rows;
    auto* scratch = static_cast<float*>(s.scratch);
    // The kernel adds to both gradients or to neither; the bias goes apart where they differ.
    const bool apart = bias && s.add(0) != s.add(1);
    float* db = !bias ? nullptr : apart ? scratch + work : s.out(1);
    if (apart && s.add(0)) std::fill_n(db, filters, 0.0f);
    simd::kernels().conv_gradient.pooled_weights(slice, s.in(0), s.in(1), s.in<std::uint8_t>(2), s.out(0), db,
                                                 s.add(0), scratch);
    if (!apart) return;
    for (std::int64_t k = 0; k < filters; ++k) put(s.out(1)[k], db[k], s.add(1));
  };
  return sliced("simd winners", "each slice sums its images", run, floats(work + filters));
}

}  // namespace

void implement_conv2d_pool(Registry& registry) {
  registry.add("conv2d_pool", forward);
  registry.add("conv2d_pool_backward_data", backward_data);
  registry.add("conv2d_pool_backward_weights", backward_weights);
}

}  // namespace gpunn::cpu
