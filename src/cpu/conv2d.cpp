#include "src/ops/conv2d.hpp"

#include <array>
#include <cstring>

#include "src/cpu/common.hpp"
#include "src/cpu/onednn_conv.hpp"

namespace gpunn::cpu {
namespace {

constexpr std::int64_t kAlignFloats = 16;  // parts of scratch begin on cache lines

std::int64_t padded(std::int64_t floats) {
  return (floats + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
}

ops::Size2d plane(const Shape& image) {
  return {image[1], image[2]};
}

// ---- our own kernels: stride 1, no dilation, one group ------------------------------------------

// Whether they can do it; the data gradient reads as far beyond dz as the kernel reaches beyond the padding.
bool is_plain(const ops::Conv2dAttrs& a, ops::Size2d kernel) {
  return a.strides == ops::Size2d{} && a.dilation == ops::Size2d{} && a.groups == 1 &&
         a.padding.top < kernel.height && a.padding.left < kernel.width && a.padding.bottom < kernel.height &&
         a.padding.right < kernel.width;
}

simd::Conv2d describe(const ops::Conv2dAttrs& a, const Shape& x, const Shape& w, const Shape& y) {
  return {.batch = 0,
          .height = x[1],
          .width = x[2],
          .channels = x[3],
          .kernel_h = w[0],
          .kernel_w = w[1],
          .filters = w[3],
          .pad_top = a.padding.top,
          .pad_left = a.padding.left,
          .out_h = y[1],
          .out_w = y[2],
          .x_row = x[2] * x[3],
          .x_image = x[1] * x[2] * x[3],
          .y_row = y[2] * y[3],
          .y_image = y[1] * y[2] * y[3]};
}

std::string simd_name(const simd::Conv2d& conv) {
  return std::string("simd ") + simd::kernels().conv.method(conv);
}

Implementation simd_forward(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dAttrs>();
  simd::Conv2d conv = describe(attrs, call.inputs[0].shape, call.inputs[1].shape, call.outputs[0].shape);
  conv.batch = target.slice_rows;
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
    kernel.forward(slice, {.bias = bias ? s.in(2) : nullptr, .activation = activation}, s.in(0), weights,
                   s.out(0), weights + prepared);
  };
  return sliced(simd_name(conv), "stride 1: bias and activation in its epilogue", run,
                floats(prepared + kernels.scratch_floats(conv)));
}

// The convolution of dz with the flipped kernel.
Implementation simd_backward_data(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dBackwardDataAttrs>();
  const Shape& w = call.inputs[1].shape;
  simd::Conv2d forward = describe(attrs.conv, call.outputs[0].shape, w, call.inputs[0].shape);
  forward.batch = target.slice_rows;
  const simd::Conv2d back = simd::backward_data(forward);
  const auto& kernels = simd::kernels().conv;
  const std::int64_t flipped = padded(w.elements()), prepared = padded(kernels.prepared_floats(back));
  const std::int64_t work = padded(kernels.scratch_floats(back));
  const auto slope = to_simd(attrs.slope);
  // The kernel's epilogue replaces what it adds onto: then the convolution goes through scratch.
  const bool sum_apart = slope != simd::Activation::linear && (call.accumulates & 1u) != 0;
  const auto run = [=](const Slice& s) {
    simd::Conv2d slice = back;
    slice.batch = s.rows;
    const auto& kernel = simd::kernels().conv;
    auto* turned = static_cast<float*>(s.scratch);
    float *weights = turned + flipped, *rest = weights + prepared;
    kernel.flip(forward, s.in(1), turned);
    kernel.prepare(slice, turned, weights);
    simd::ConvEpilogue epilogue{.add = s.add(0)};
    if (slope != simd::Activation::linear) epilogue.slope_of = slope, epilogue.kept = s.in(2);
    float* dx = s.out(0);
    if (sum_apart && s.add(0)) epilogue.add = false, dx = rest + work;
    kernel.forward(slice, epilogue, s.in(0), weights, dx, rest);
    if (dx != s.out(0)) simd::kernels().elementwise.axpy(s.rows * slice.y_image, 1.0f, dx, s.out(0));
  };
  return sliced(simd_name(back), "stride 1: a convolution with the flipped kernel", run,
                floats(flipped + prepared + work + (sum_apart ? target.slice_rows * back.y_image : 0)));
}

Implementation simd_backward_weights(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dBackwardWeightsAttrs>();
  const Shape& w = call.outputs[0].shape;
  simd::Conv2d conv = describe(attrs.conv, call.inputs[0].shape, w, call.inputs[1].shape);
  conv.batch = target.slice_rows;
  const std::int64_t weights = w.elements(), filters = attrs.bias ? w[3] : 0;
  const auto run = [=](const Slice& s) {
    simd::Conv2d slice = conv;
    slice.batch = s.rows;
    // The kernel adds to both or to none.
    const bool add = s.add(0) || s.add(1);
    if (add && !s.add(0)) std::fill_n(s.out(0), weights, 0.0f);
    if (add && !s.add(1)) std::fill_n(s.out(1), filters, 0.0f);
    simd::kernels().conv_gradient.weights(slice, s.in(0), s.in(1), s.out(0), filters > 0 ? s.out(1) : nullptr,
                                          add, static_cast<float*>(s.scratch));
  };
  return sliced("simd direct", "stride 1: each slice sums its images", run,
                floats(simd::kernels().conv_gradient.weights_scratch_floats(conv)));
}

// ---- oneDNN: everything else --------------------------------------------------------------------

// One primitive for whole slices and one for the shorter last slice.
class OnednnSlices {
 public:
  OnednnSlices(ConvPass pass, OnednnConv::Shapes shapes, const ops::Conv2dAttrs& attrs, std::int64_t batch,
               std::int64_t slice_rows) {
    const std::int64_t rows[] = {std::min(slice_rows, batch), slice_rows == 0 ? 0 : batch % slice_rows};
    for (std::size_t i = 0; i < 2; ++i) {
      if (rows[i] == 0) continue;
      shapes.images = rows[i];
      slices_[i] = {rows[i], std::make_shared<OnednnConv>(pass, shapes, attrs)};
    }
  }

  // Null for slices without rows.
  const OnednnConv* find(std::int64_t rows) const {
    for (const auto& [count, conv] : slices_) {
      if (count == rows && rows > 0) return conv.get();
    }
    return nullptr;
  }
  std::string name() const { return slices_[0].conv ? "onednn:" + slices_[0].conv->name() : "onednn"; }
  std::size_t scratch() const {
    std::size_t most = 0;
    for (const auto& [count, conv] : slices_) most = std::max(most, conv ? conv->scratch() : 0);
    return most;
  }

 private:
  struct OfRows {
    std::int64_t rows = 0;
    std::shared_ptr<OnednnConv> conv;
  };
  std::array<OfRows, 2> slices_;
};

OnednnConv::Shapes shapes_of(const Shape& x, const Shape& w, const Shape& y, bool bias) {
  return {.images = 0,
          .input = plane(x),
          .output = plane(y),
          .kernel = {w[0], w[1]},
          .in_channels = x[3],
          .out_channels = y[3],
          .bias = bias};
}

float* writable(const float* p) {
  return const_cast<float*>(p);  // oneDNN's memory objects do not know const
}

constexpr const char* kOnednnWhy = "strides, dilation, groups or wide padding";

Implementation onednn_forward(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dAttrs>();
  const Shape &x = call.inputs[0].shape, &y = call.outputs[0].shape;
  const bool bias = ops::has(call, 2);
  const OnednnSlices slices(ConvPass::forward, shapes_of(x, call.inputs[1].shape, y, bias), attrs, x[0],
                            target.slice_rows);
  const std::int64_t image = ops::row_elements(y);
  const auto activation = to_simd(attrs.activation);
  const auto run = [=](const Slice& s) {
    const OnednnConv* conv = slices.find(s.rows);
    if (conv == nullptr) return;
    conv->run({.x = writable(s.in(0)),
               .weights = writable(s.in(1)),
               .bias = bias ? writable(s.in(2)) : nullptr,
               .y = s.out(0)},
              s.scratch);
    if (activation != simd::Activation::linear) {
      simd::kernels().activation.forward(activation, s.rows * image, s.out(0), s.out(0));
    }
  };
  return sliced(slices.name(), kOnednnWhy, run, slices.scratch());
}

Implementation onednn_backward_data(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dBackwardDataAttrs>();
  const Shape &dz = call.inputs[0].shape, &x = call.outputs[0].shape;
  const OnednnSlices slices(ConvPass::backward_data, shapes_of(x, call.inputs[1].shape, dz, false),
                            attrs.conv, x[0], target.slice_rows);
  const std::int64_t image = ops::row_elements(x);
  const auto slope = to_simd(attrs.slope);
  const bool adds = (call.accumulates & 1u) != 0;
  const std::size_t work = slices.scratch();  // a multiple of a cache line
  const auto run = [=](const Slice& s) {
    const OnednnConv* conv = slices.find(s.rows);
    if (conv == nullptr) return;
    float* dx = s.add(0) ? reinterpret_cast<float*>(static_cast<std::byte*>(s.scratch) + work) : s.out(0);
    conv->run({.x = dx, .weights = writable(s.in(1)), .y = writable(s.in(0))}, s.scratch);
    const std::int64_t n = s.rows * image;
    if (slope != simd::Activation::linear) {
      simd::kernels().activation.backward(slope, n, s.in(2), dx, s.out(0), s.add(0));
    } else if (s.add(0)) {
      simd::kernels().elementwise.axpy(n, 1.0f, dx, s.out(0));
    }
  };
  return sliced(slices.name(), kOnednnWhy, run, work + (adds ? floats(target.slice_rows * image) : 0));
}

Implementation onednn_backward_weights(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dBackwardWeightsAttrs>();
  const Shape &x = call.inputs[0].shape, &dz = call.inputs[1].shape, &w = call.outputs[0].shape;
  const OnednnSlices slices(ConvPass::backward_weights, shapes_of(x, w, dz, attrs.bias), attrs.conv, x[0],
                            target.slice_rows);
  const std::int64_t weights = w.elements(), filters = attrs.bias ? w[3] : 0;
  const bool adds = call.accumulates != 0, bias = attrs.bias;
  const std::size_t work = slices.scratch();
  const auto run = [=](const Slice& s) {
    const OnednnConv* conv = slices.find(s.rows);
    if (conv == nullptr) {
      if (!s.add(0)) std::fill_n(s.out(0), weights, 0.0f);
      if (!s.add(1)) std::fill_n(s.out(1), filters, 0.0f);
      return;
    }
    auto* spare = reinterpret_cast<float*>(static_cast<std::byte*>(s.scratch) + work);
    float* dw = s.add(0) ? spare : s.out(0);
    float* db = s.add(1) ? spare + padded(weights) : s.out(1);
    conv->run({.x = writable(s.in(0)), .weights = dw, .bias = bias ? db : nullptr, .y = writable(s.in(1))},
              s.scratch);
    const auto& kernels = simd::kernels().elementwise;
    if (s.add(0)) kernels.axpy(weights, 1.0f, dw, s.out(0));
    if (s.add(1)) kernels.axpy(filters, 1.0f, db, s.out(1));
  };
  return sliced(slices.name(), kOnednnWhy, run, work + (adds ? floats(padded(weights) + filters) : 0));
}

Implementation forward(const OpCall& call, const Target& target) {
  const Shape& w = call.inputs[1].shape;
  const bool plain = is_plain(call.attrs_as<ops::Conv2dAttrs>(), {w[0], w[1]});
  return plain ? simd_forward(call, target) : onednn_forward(call, target);
}

Implementation backward_data(const OpCall& call, const Target& target) {
  const Shape& w = call.inputs[1].shape;
  const bool plain = is_plain(call.attrs_as<ops::Conv2dBackwardDataAttrs>().conv, {w[0], w[1]});
  return plain ? simd_backward_data(call, target) : onednn_backward_data(call, target);
}

Implementation backward_weights(const OpCall& call, const Target& target) {
  const auto& attrs = call.attrs_as<ops::Conv2dBackwardWeightsAttrs>();
  return is_plain(attrs.conv, attrs.kernel) ? simd_backward_weights(call, target)
                                            : onednn_backward_weights(call, target);
}

}  // namespace

void implement_conv2d(Registry& registry) {
  registry.add("conv2d", forward);
  registry.add("conv2d_backward_data", backward_data);
  registry.add("conv2d_backward_weights", backward_weights);
}

}  // namespace gpunn::cpu
