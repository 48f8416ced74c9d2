#include "src/ops/adam.hpp"

#include <cmath>

#include "src/ops/global_norm.hpp"
#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void update(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::AdamAttrs>();
  const T beta1 = static_cast<T>(attrs.beta1), beta2 = static_cast<T>(attrs.beta2);
  const T t = static_cast<T>(run.step.step + 1);
  T scale = static_cast<T>(run.step.gradient_scale);
  if (attrs.skip_nonfinite && !std::isfinite(run.inputs[4][0])) return;
  if (attrs.clip_norm > 0) {
    const T norm = run.inputs[4][0], clip = static_cast<T>(attrs.clip_norm);
    scale *= !std::isfinite(norm) ? T(NAN) : norm > clip ? clip / norm : T(1);
  }
  for (const ops::ParameterSegment& segment : attrs.segments) {
    if (segment.frozen) continue;
    const T lr = static_cast<T>(run.step.learning_rate) * static_cast<T>(segment.learning_rate_factor);
    const T decay = segment.weight_decay ? static_cast<T>(attrs.weight_decay) : T(0);
    for (std::int64_t i = segment.offset; i < segment.offset + segment.count; ++i) {
      T &w = run.inputs[0][i], &m = run.inputs[2][i], &v = run.inputs[3][i];
      T g = run.inputs[1][i] * scale;
      if (attrs.decoupled) {
        w -= w * decay * lr;
      } else {
        g += decay * w;
      }
      m = beta1 * m + (1 - beta1) * g;
      v = beta2 * v + (1 - beta2) * g * g;
      const T alpha = lr * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
      w -= m * alpha / (std::sqrt(v) + static_cast<T>(attrs.epsilon));
    }
  }
}

}  // namespace

void reference_adam(Registry& registry) {
  registry.add("adam", update<float>, update<double>);
}

}  // namespace gpunn::reference
