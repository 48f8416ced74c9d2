#include "src/ops/mean_squared_error.hpp"

#include "src/cpu/losses.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kName = "simd loss";
constexpr const char* kWhy = "vectorised";

Implementation forward(const OpCall& call, const Target&) {
  return sliced(kName, kWhy, [shape = LossShape(call)](const Slice& s) {
    const double sum = simd::kernels().loss.mean_squared_error(shape.rows(s), s.in(0), s.in(1));
    put_pair(s, static_cast<float>(sum), static_cast<float>(shape.count(s)));
  });
}

Implementation backward(const OpCall& call, const Target&) {
  return sliced(kName, kWhy, [shape = LossShape(call)](const Slice& s) {
    simd::kernels().loss.mean_squared_error_backward(shape.rows(s), s.in(0), s.in(1), shape.batch_scale(s),
                                                     s.out(0), s.add(0));
  });
}

}  // namespace

void implement_mean_squared_error(Registry& registry) {
  registry.add("mean_squared_error", forward);
  registry.add("mean_squared_error_backward", backward);
}

}  // namespace gpunn::cpu
