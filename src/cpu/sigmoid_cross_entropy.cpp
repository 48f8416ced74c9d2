#include "src/ops/sigmoid_cross_entropy.hpp"

#include <cmath>

#include "src/cpu/losses.hpp"

namespace gpunn::cpu {
namespace {

// -(t log p + (1 - t) log(1 - p)) with p = sigmoid(x) is max(x, 0) - x t + log(1 + exp(-|x|)): nothing
// overflows.
Implementation forward(const OpCall& call, const Target& target) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  const auto run = [=](const Slice& s) {
    const auto& kernels = simd::kernels().activation;
    const std::int64_t n = shape.count(s) * classes;
    kernels.forward(simd::Activation::sigmoid, n, s.in(0), s.out(1));
    float* log_term = static_cast<float*>(s.scratch);
    for (std::int64_t i = 0; i < n; ++i) log_term[i] = -std::abs(s.in(0)[i]);
    kernels.exp(n, log_term, log_term);
    kernels.log1p(n, log_term, log_term);
    put_loss(shape, s, [&](std::int64_t v) {
      float sum = 0;
      for (std::int64_t i = v * classes; i < (v + 1) * classes; ++i) {
        const float x = s.in(0)[i];
        sum += (x < 0 ? 0.0f : x) - x * s.in(1)[i] + log_term[i];
      }
      return sum / static_cast<float>(classes);
    });
  };
  return sliced("simd exp", "with sigmoid, stable", run, floats(target.slice_rows * shape.vectors * classes));
}

Implementation backward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  return sliced("loop", "few operations per element", [=](const Slice& s) {
    for (std::int64_t v = 0; v < shape.count(s); ++v) {
      const float scale = shape.gradient_scale(s, v) / static_cast<float>(classes);
      for (std::int64_t i = v * classes; i < (v + 1) * classes; ++i) {
        put(s.out(0)[i], scale * (s.in(0)[i] - s.in(1)[i]), s.add(0));
      }
    }
  });
}

}  // namespace

void implement_sigmoid_cross_entropy(Registry& registry) {
  registry.add("sigmoid_cross_entropy", forward);
  registry.add("sigmoid_cross_entropy_backward", backward);
}

}  // namespace gpunn::cpu
