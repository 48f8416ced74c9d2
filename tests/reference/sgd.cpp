#include "src/ops/sgd.hpp"

#include <cmath>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void update(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::SgdAttrs>();
  T scale = static_cast<T>(run.step.gradient_scale);
  if (attrs.skip_nonfinite && !std::isfinite(run.inputs[3][0])) return;
  if (attrs.clip_norm > 0) {
    const T norm = run.inputs[3][0], clip = static_cast<T>(attrs.clip_norm);
    scale *= !std::isfinite(norm) ? T(NAN) : norm > clip ? clip / norm : T(1);
  }
  const T momentum = static_cast<T>(attrs.momentum);
  for (const ops::ParameterSegment& segment : attrs.segments) {
    if (segment.frozen) continue;
    const T lr = static_cast<T>(run.step.learning_rate) * static_cast<T>(segment.learning_rate_factor);
    for (std::int64_t i = segment.offset; i < segment.offset + segment.count; ++i) {
      T& w = run.inputs[0][i];
      const T g = run.inputs[1][i] * scale;
      if (segment.weight_decay) w -= w * static_cast<T>(attrs.weight_decay) * lr;
      if (attrs.momentum == 0) {
        w -= lr * g;
        continue;
      }
      T& velocity = run.inputs[2][i];
      velocity = momentum * velocity - lr * g;
      w += attrs.nesterov ? momentum * velocity - lr * g : velocity;
    }
  }
}

}  // namespace

void reference_sgd(Registry& registry) {
  registry.add("sgd", update<float>, update<double>);
}

}  // namespace gpunn::reference
