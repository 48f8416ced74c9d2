#include "src/ops/accuracy.hpp"

#include "src/cpu/losses.hpp"

namespace gpunn::cpu {
namespace {

std::int32_t largest(const float* x, std::int64_t classes) {
  std::int32_t at = 0;
  simd::kernels().loss.argmax(1, classes, x, &at);
  return at;
}

// The share of outputs on their label's side of 0.5.
float binary_hit(const float* p, const float* labels, std::int64_t classes) {
  std::int64_t right = 0;
  for (std::int64_t c = 0; c < classes; ++c) right += (p[c] > 0.5f ? 1.0f : 0.0f) == labels[c];
  return static_cast<float>(right) / static_cast<float>(classes);
}

Implementation accuracy(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  const ops::Accuracy kind = call.attrs_as<ops::AccuracyAttrs>().kind;
  return sliced("loop", "few operations per element", [=](const Slice& s) {
    double hits = 0, weights = 0;
    for (std::int64_t v = 0; v < shape.count(s); ++v) {
      const float* p = s.in(0) + v * classes;
      float hit = 0;
      switch (kind) {
        case ops::Accuracy::binary:
          hit = binary_hit(p, s.in(1) + v * classes, classes);
          break;
        case ops::Accuracy::categorical:
          hit = largest(p, classes) == largest(s.in(1) + v * classes, classes);
          break;
        case ops::Accuracy::sparse_categorical:
          hit = largest(p, classes) == s.in<std::int32_t>(1)[v];
          break;
      }
      hits += static_cast<double>(shape.weight(s, v) * hit);
      weights += static_cast<double>(shape.weight(s, v));
    }
    put_pair(s, static_cast<float>(hits), static_cast<float>(weights));
  });
}

}  // namespace

void implement_accuracy(Registry& registry) {
  registry.add("accuracy", accuracy);
}

}  // namespace gpunn::cpu
