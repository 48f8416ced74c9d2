#include "src/ops/accuracy.hpp"

#include "src/cpu/losses.hpp"

namespace gpunn::cpu {
namespace {

std::int32_t largest(const float* x, std::int64_t classes) {
  std::int32_t at = 0;
  simd::kernels().loss.argmax(1, classes, x, &at);
  return at;
}

// The sum over the rows of weight * whether the right class is the largest, and the sum of the weights.
void count_classes(const LossShape& shape, const Slice& s, bool sparse) {
  double hits = 0, weights = 0;
  for (std::int64_t v = 0; v < shape.count(s); ++v) {
    const std::int32_t guess = largest(s.in(0) + v * shape.classes, shape.classes);
    const std::int32_t label =
        sparse ? s.in<std::int32_t>(1)[v] : largest(s.in(1) + v * shape.classes, shape.classes);
    const float weight = shape.weight(s, v);
    hits += static_cast<double>(guess == label ? weight : 0.0f);
    weights += static_cast<double>(weight);
  }
  put_pair(s, static_cast<float>(hits), static_cast<float>(weights));
}

void count_sides(const LossShape& shape, const Slice& s) {
  const double hits = simd::kernels().loss.binary_hits(shape.rows(s), s.in(0), s.in(1));
  double weights = static_cast<double>(shape.count(s));
  if (shape.weighted) {
    weights = 0;
    for (std::int64_t v = 0; v < shape.count(s); ++v) weights += static_cast<double>(shape.weight(s, v));
  }
  put_pair(s, static_cast<float>(hits), static_cast<float>(weights));
}

Implementation accuracy(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const ops::Accuracy kind = call.attrs_as<ops::AccuracyAttrs>().kind;
  if (kind == ops::Accuracy::binary)
    return sliced("simd loss", "sides of 0.5", [=](const Slice& s) { count_sides(shape, s); });
  const bool sparse = kind == ops::Accuracy::sparse_categorical;
  return sliced("loop", "few operations per element",
                [=](const Slice& s) { count_classes(shape, s, sparse); });
}

}  // namespace

void implement_accuracy(Registry& registry) {
  registry.add("accuracy", accuracy);
}

}  // namespace gpunn::cpu
