#include "src/ops/softmax_cross_entropy.hpp"

#include "src/cpu/losses.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kName = "simd loss";
constexpr const char* kWhy = "with the softmax, stable";

Implementation forward(const OpCall& call, const Target&) {
  return sliced(kName, kWhy, [shape = LossShape(call)](const Slice& s) {
    const double sum =
        simd::kernels().loss.softmax_cross_entropy(shape.rows(s), s.in(0), shape.labels(s), s.out(1));
    put_pair(s, static_cast<float>(sum), static_cast<float>(shape.count(s)));
  });
}

Implementation backward(const OpCall& call, const Target&) {
  return sliced(kName, kWhy, [shape = LossShape(call)](const Slice& s) {
    simd::kernels().loss.softmax_cross_entropy_backward(shape.rows(s), s.in(0), shape.labels(s),
                                                        shape.batch_scale(s), s.out(0), s.add(0));
  });
}

}  // namespace

void implement_softmax_cross_entropy(Registry& registry) {
  registry.add("softmax_cross_entropy", forward);
  registry.add("softmax_cross_entropy_backward", backward);
}

}  // namespace gpunn::cpu
