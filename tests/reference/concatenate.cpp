#include "src/ops/concatenate.hpp"

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

// Extents before and after an axis.
struct Around {
  std::int64_t outer = 1, inner = 1;
};
Around around(const Shape& shape, int axis) {
  if (axis < 0) axis += shape.rank();
  Around result;
  for (int i = 0; i < shape.rank(); ++i) {
    if (i < axis) result.outer *= shape[i];
    if (i > axis) result.inner *= shape[i];
  }
  return result;
}

template <class T>
void forward(const Run<T>& run) {
  const int axis = run.template attrs<ops::ConcatenateAttrs>().axis;
  const Shape& y = run.out_shape(0);
  const auto [outer, inner] = around(y, axis);
  std::int64_t begin = 0;
  for (std::size_t k = 0; k < run.inputs.size(); ++k) {
    const std::int64_t extent = run.shape(k)[axis];
    for (std::int64_t o = 0; o < outer; ++o) {
      for (std::int64_t a = 0; a < extent; ++a) {
        for (std::int64_t i = 0; i < inner; ++i) {
          run.outputs[0][(o * y[axis] + begin + a) * inner + i] = run.inputs[k][(o * extent + a) * inner + i];
        }
      }
    }
    begin += extent;
  }
}

template <class T>
void backward(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::ConcatenateBackwardAttrs>();
  const Shape& dy = run.shape(0);
  const auto [outer, inner] = around(dy, attrs.axis);
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t a = 0; a < attrs.size; ++a) {
      for (std::int64_t i = 0; i < inner; ++i) {
        run.outputs[0][(o * attrs.size + a) * inner + i] =
            run.inputs[0][(o * dy[attrs.axis] + attrs.begin + a) * inner + i];
      }
    }
  }
}

}  // namespace

void reference_concatenate(Registry& registry) {
  registry.add("concatenate", forward<float>, forward<double>);
  registry.add("concatenate_backward", backward<float>, backward<double>);
}

}  // namespace gpunn::reference
