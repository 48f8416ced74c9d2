#include "src/ops/softmax.hpp"

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kName = "simd softmax";
constexpr const char* kWhy = "vectorised";

struct Extent {
  explicit Extent(const Shape& x) : classes(x[-1]), vectors(ops::row_elements(x.with(-1, 1))) {}
  std::int64_t classes, vectors;  // vectors: in a row of the batch
};

// A softmax of one vector has no batch axis; else rows count its vectors.
std::int64_t rows_of(const Slice& s, const Shape& x, const Extent& extent) {
  return x.rank() == 1 ? 1 : s.rows * extent.vectors;
}

Implementation forward(const OpCall& call, const Target&) {
  const Shape x = call.inputs[0].shape;
  return sliced(kName, kWhy, [x, extent = Extent(x)](const Slice& s) {
    simd::kernels().loss.softmax(rows_of(s, x, extent), extent.classes, s.in(0), s.out(0));
  });
}

Implementation backward(const OpCall& call, const Target&) {
  const Shape x = call.inputs[0].shape;
  return sliced(kName, kWhy, [x, extent = Extent(x)](const Slice& s) {
    simd::kernels().loss.softmax_backward(rows_of(s, x, extent), extent.classes, s.in(0), s.in(1), s.out(0),
                                          s.add(0));
  });
}

}  // namespace

void implement_softmax(Registry& registry) {
  registry.add("softmax", forward);
  registry.add("softmax_backward", backward);
}

}  // namespace gpunn::cpu
