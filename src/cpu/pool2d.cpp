#include "src/ops/pool2d.hpp"

#include <cstring>

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kName = "channels loop";

// A pool over channels-last images, and the part of each window that lies inside the image.
struct PoolShape {
  PoolShape(const ops::Pool2dAttrs& attrs, const Shape& x, const Shape& y)
      : attrs(attrs), height(x[1]), width(x[2]), channels(x[3]), out_height(y[1]), out_width(y[2]) {}

  struct Range {
    std::int64_t begin, end;
  };
  Range rows(std::int64_t i) const {
    return inside(i * attrs.strides.height - attrs.padding.top, attrs.window.height, height);
  }
  Range columns(std::int64_t j) const {
    return inside(j * attrs.strides.width - attrs.padding.left, attrs.window.width, width);
  }
  static Range inside(std::int64_t begin, std::int64_t size, std::int64_t extent) {
    return {std::max<std::int64_t>(begin, 0), std::min(begin + size, extent)};
  }

  std::int64_t in_elements() const { return height * width * channels; }
  std::int64_t out_elements() const { return out_height * out_width * channels; }

  // Calls use(image, i, j) for every window of a slice.
  template <class Use>
  void for_each_window(std::int64_t images, Use use) const {
    for (std::int64_t n = 0; n < images; ++n) {
      for (std::int64_t i = 0; i < out_height; ++i) {
        for (std::int64_t j = 0; j < out_width; ++j) use(n, i, j);
      }
    }
  }
  std::int64_t out_index(std::int64_t n, std::int64_t i, std::int64_t j) const {
    return ((n * out_height + i) * out_width + j) * channels;
  }

  ops::Pool2dAttrs attrs;
  std::int64_t height, width, channels, out_height, out_width;
};

// NaN beats every number, and the first of equal ones stays.
inline void take_larger(const float* x, std::int32_t position, std::int64_t channels, float* y,
                        std::int32_t* argmax) {
  for (std::int64_t c = 0; c < channels; ++c) {
    const bool better = !(x[c] <= y[c]) && y[c] == y[c];
    y[c] = better ? x[c] : y[c];
    argmax[c] = better ? position : argmax[c];
  }
}

Implementation max_forward(const OpCall& call, const Target&) {
  const PoolShape shape(call.attrs_as<ops::Pool2dAttrs>(), call.inputs[0].shape, call.outputs[0].shape);
  return sliced(kName, "vectorised over channels", [shape](const Slice& s) {
    shape.for_each_window(s.rows, [&](std::int64_t n, std::int64_t i, std::int64_t j) {
      const float* image = s.in(0) + n * shape.in_elements();
      float* y = s.out(0) + shape.out_index(n, i, j);
      std::int32_t* argmax = s.out<std::int32_t>(1) + shape.out_index(n, i, j);
      const auto rows = shape.rows(i), columns = shape.columns(j);
      const std::int64_t first = rows.begin * shape.width + columns.begin;
      std::memcpy(y, image + first * shape.channels, floats(shape.channels));
      std::fill_n(argmax, shape.channels, static_cast<std::int32_t>(first));
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        for (std::int64_t column = columns.begin; column < columns.end; ++column) {
          const std::int64_t at = row * shape.width + column;
          if (at == first) continue;
          take_larger(image + at * shape.channels, static_cast<std::int32_t>(at), shape.channels, y, argmax);
        }
      }
    });
  });
}

Implementation max_backward(const OpCall& call, const Target&) {
  const PoolShape shape(call.attrs_as<ops::Pool2dBackwardAttrs>().pool, call.outputs[0].shape,
                        call.inputs[0].shape);
  return sliced(kName, "to the winners alone", [shape](const Slice& s) {
    if (!s.add(0)) std::fill_n(s.out(0), s.rows * shape.in_elements(), 0.0f);
    shape.for_each_window(s.rows, [&](std::int64_t n, std::int64_t i, std::int64_t j) {
      float* dx = s.out(0) + n * shape.in_elements();
      const float* dy = s.in(0) + shape.out_index(n, i, j);
      const std::int32_t* argmax = s.in<std::int32_t>(1) + shape.out_index(n, i, j);
      for (std::int64_t c = 0; c < shape.channels; ++c) dx[argmax[c] * shape.channels + c] += dy[c];
    });
  });
}

Implementation average_forward(const OpCall& call, const Target&) {
  const PoolShape shape(call.attrs_as<ops::Pool2dAttrs>(), call.inputs[0].shape, call.outputs[0].shape);
  return sliced(kName, "vectorised over channels", [shape](const Slice& s) {
    shape.for_each_window(s.rows, [&](std::int64_t n, std::int64_t i, std::int64_t j) {
      const float* image = s.in(0) + n * shape.in_elements();
      float* y = s.out(0) + shape.out_index(n, i, j);
      const auto rows = shape.rows(i), columns = shape.columns(j);
      std::fill_n(y, shape.channels, 0.0f);
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        for (std::int64_t column = columns.begin; column < columns.end; ++column) {
          const float* x = image + (row * shape.width + column) * shape.channels;
          for (std::int64_t c = 0; c < shape.channels; ++c) y[c] += x[c];
        }
      }
      const auto seen = static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
      for (std::int64_t c = 0; c < shape.channels; ++c) y[c] /= seen;
    });
  });
}

Implementation average_backward(const OpCall& call, const Target&) {
  const PoolShape shape(call.attrs_as<ops::Pool2dBackwardAttrs>().pool, call.outputs[0].shape,
                        call.inputs[0].shape);
  return sliced(kName, "vectorised over channels", [shape](const Slice& s) {
    if (!s.add(0)) std::fill_n(s.out(0), s.rows * shape.in_elements(), 0.0f);
    shape.for_each_window(s.rows, [&](std::int64_t n, std::int64_t i, std::int64_t j) {
      float* image = s.out(0) + n * shape.in_elements();
      const float* dy = s.in(0) + shape.out_index(n, i, j);
      const auto rows = shape.rows(i), columns = shape.columns(j);
      const float share = 1.0f / static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        for (std::int64_t column = columns.begin; column < columns.end; ++column) {
          float* dx = image + (row * shape.width + column) * shape.channels;
          for (std::int64_t c = 0; c < shape.channels; ++c) dx[c] += dy[c] * share;
        }
      }
    });
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
