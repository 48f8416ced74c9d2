#include "src/ops/softmax.hpp"

#include "src/cpu/softmax.hpp"

namespace gpunn::cpu {

void exponentials(std::int64_t vectors, std::int64_t classes, const float* x, float* e, float* largest) {
  for (std::int64_t v = 0; v < vectors; ++v) {
    const float* from = x + v * classes;
    float most = from[0];
    for (std::int64_t c = 1; c < classes; ++c) most = from[c] > most ? from[c] : most;
    if (largest != nullptr) largest[v] = most;
    for (std::int64_t c = 0; c < classes; ++c) e[v * classes + c] = from[c] - most;
  }
  simd::kernels().activation.exp(vectors * classes, e, e);
}

float normalize(std::int64_t classes, float* e) {
  float sum = 0;
  for (std::int64_t c = 0; c < classes; ++c) sum += e[c];
  const float factor = 1.0f / sum;
  for (std::int64_t c = 0; c < classes; ++c) e[c] *= factor;
  return sum;
}

namespace {

constexpr const char* kName = "simd exp";

Implementation forward(const OpCall& call, const Target&) {
  const Shape& x = call.inputs[0].shape;
  const std::int64_t classes = x[-1], vectors = ops::row_elements(x.with(-1, 1));
  return sliced(kName, "exponentials vectorised over all classes", [=](const Slice& s) {
    exponentials(s.rows * vectors, classes, s.in(0), s.out(0));
    for (std::int64_t v = 0; v < s.rows * vectors; ++v) normalize(classes, s.out(0) + v * classes);
  });
}

Implementation backward(const OpCall& call, const Target&) {
  const Shape& y = call.inputs[0].shape;
  const std::int64_t classes = y[-1], vectors = ops::row_elements(y.with(-1, 1));
  return sliced("loop", "few operations per element", [=](const Slice& s) {
    for (std::int64_t v = 0; v < s.rows * vectors; ++v) {
      const float *p = s.in(0) + v * classes, *dp = s.in(1) + v * classes;
      float sum = 0;
      for (std::int64_t c = 0; c < classes; ++c) sum += p[c] * dp[c];
      for (std::int64_t c = 0; c < classes; ++c)
        put(s.out(0)[v * classes + c], p[c] * (dp[c] - sum), s.add(0));
    }
  });
}

}  // namespace

void implement_softmax(Registry& registry) {
  registry.add("softmax", forward);
  registry.add("softmax_backward", backward);
}

}  // namespace gpunn::cpu
