#include "src/ops/concatenate.hpp"

#include <cstring>
#include <vector>

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kName = "copy";

struct Around {
  std::int64_t outer = 1;  // extents between the batch and the axis
  std::int64_t inner = 1;  // extents behind it
};

Around around(const Shape& shape, int axis) {
  Around result;
  const int at = axis < 0 ? axis + shape.rank() : axis;
  for (int i = 1; i < shape.rank(); ++i) {
    if (i < at) result.outer *= shape[i];
    if (i > at) result.inner *= shape[i];
  }
  return result;
}

Implementation forward(const OpCall& call, const Target&) {
  const int axis = call.attrs_as<ops::ConcatenateAttrs>().axis;
  const Around shape = around(call.outputs[0].shape, axis);
  std::vector<std::int64_t> lengths;  // of what each input contributes in one piece
  for (const Spec& input : call.inputs) lengths.push_back(input.shape[axis] * shape.inner);
  return sliced(kName, "pieces are contiguous",
                [outer = shape.outer, lengths = std::move(lengths)](const Slice& s) {
                  float* y = s.out(0);
                  for (std::int64_t o = 0; o < s.rows * outer; ++o) {
                    for (std::size_t k = 0; k < lengths.size(); ++k) {
                      std::memcpy(y, s.in(static_cast<int>(k)) + o * lengths[k], floats(lengths[k]));
                      y += lengths[k];
                    }
                  }
                });
}

Implementation backward(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::ConcatenateBackwardAttrs>();
  const Shape& dy = call.inputs[0].shape;
  const auto [outer, inner] = around(dy, attrs.axis);
  const std::int64_t begin = attrs.begin * inner, length = attrs.size * inner,
                     stride = dy[attrs.axis] * inner;
  return sliced(kName, "pieces are contiguous", [=, outer = outer](const Slice& s) {
    for (std::int64_t o = 0; o < s.rows * outer; ++o) {
      const float* from = s.in(0) + o * stride + begin;
      float* to = s.out(0) + o * length;
      if (s.add(0)) {
        simd::kernels().elementwise.axpy(length, 1.0f, from, to);
      } else {
        std::memcpy(to, from, floats(length));
      }
    }
  });
}

}  // namespace

void implement_concatenate(Registry& registry) {
  registry.add("concatenate", forward);
  registry.add("concatenate_backward", backward);
}

}  // namespace gpunn::cpu
