#include "src/ops/global_pool2d.hpp"

#include <cstring>

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kName = "channels loop";

struct Extent {
  explicit Extent(const Shape& image) : positions(image[1] * image[2]), channels(image[3]) {}
  std::int64_t image() const { return positions * channels; }
  std::int64_t positions, channels;
};

Implementation max_forward(const OpCall& call, const Target&) {
  const Extent extent(call.inputs[0].shape);
  return sliced(kName, "vectorised over channels", [extent](const Slice& s) {
    for (std::int64_t n = 0; n < s.rows; ++n) {
      const float* x = s.in(0) + n * extent.image();
      float* y = s.out(0) + n * extent.channels;
      std::int32_t* argmax = s.out<std::int32_t>(1) + n * extent.channels;
      std::memcpy(y, x, floats(extent.channels));
      std::fill_n(argmax, extent.channels, 0);
      for (std::int64_t at = 1; at < extent.positions; ++at) {
        x += extent.channels;
        for (std::int64_t c = 0; c < extent.channels; ++c) {
          const bool better = !(x[c] <= y[c]) && y[c] == y[c];  // NaN beats every number
          y[c] = better ? x[c] : y[c];
          argmax[c] = better ? static_cast<std::int32_t>(at) : argmax[c];
        }
      }
    }
  });
}

Implementation max_backward(const OpCall& call, const Target&) {
  const Extent extent(call.outputs[0].shape);
  return sliced(kName, "to the winners alone", [extent](const Slice& s) {
    if (!s.add(0)) std::fill_n(s.out(0), s.rows * extent.image(), 0.0f);
    for (std::int64_t n = 0; n < s.rows; ++n) {
      float* dx = s.out(0) + n * extent.image();
      for (std::int64_t c = 0; c < extent.channels; ++c) {
        const std::int64_t i = n * extent.channels + c;
        dx[s.in<std::int32_t>(1)[i] * extent.channels + c] += s.in(0)[i];
      }
    }
  });
}

Implementation average_forward(const OpCall& call, const Target&) {
  const Extent extent(call.inputs[0].shape);
  return sliced(kName, "vectorised over channels", [extent](const Slice& s) {
    for (std::int64_t n = 0; n < s.rows; ++n) {
      const float* x = s.in(0) + n * extent.image();
      float* y = s.out(0) + n * extent.channels;
      simd::kernels().dense.column_sums(extent.positions, extent.channels, x, extent.channels, y, false);
      for (std::int64_t c = 0; c < extent.channels; ++c) y[c] /= static_cast<float>(extent.positions);
    }
  });
}

Implementation average_backward(const OpCall& call, const Target&) {
  const Extent extent(call.outputs[0].shape);
  return sliced(kName, "vectorised over channels", [extent](const Slice& s) {
    const float share = 1.0f / static_cast<float>(extent.positions);
    for (std::int64_t n = 0; n < s.rows; ++n) {
      const float* dy = s.in(0) + n * extent.channels;
      for (std::int64_t at = 0; at < extent.positions; ++at) {
        float* dx = s.out(0) + n * extent.image() + at * extent.channels;
        for (std::int64_t c = 0; c < extent.channels; ++c) put(dx[c], dy[c] * share, s.add(0));
      }
    }
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
