#include "src/ops/lazy_adam.hpp"

#include <cmath>
#include <map>
#include <vector>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void update(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::LazyAdamAttrs>();
  const std::int64_t width = run.shape(2)[1];
  std::map<std::int64_t, std::vector<T>> gradients;
  for (std::int64_t i = 0; i < run.shape(0).elements(); ++i) {
    const auto id = static_cast<std::int64_t>(run.inputs[0][i]);
    if (id < 0 || id >= run.shape(2)[0]) continue;
    auto& sum = gradients[id];
    sum.resize(static_cast<std::size_t>(width));
    for (std::int64_t c = 0; c < width; ++c) sum[static_cast<std::size_t>(c)] += run.inputs[1][i * width + c];
  }
  const T beta1 = static_cast<T>(attrs.beta1), beta2 = static_cast<T>(attrs.beta2),
          t = static_cast<T>(run.step.step + 1);
  const T alpha =
      static_cast<T>(run.step.learning_rate) * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
  for (const auto& [id, sum] : gradients) {
    for (std::int64_t c = 0; c < width; ++c) {
      const std::int64_t at = id * width + c;
      T &w = run.inputs[2][at], &m = run.inputs[3][at], &v = run.inputs[4][at];
      const T g = sum[static_cast<std::size_t>(c)] * static_cast<T>(run.step.gradient_scale);
      m = beta1 * m + (1 - beta1) * g;
      v = beta2 * v + (1 - beta2) * g * g;
      w -= alpha * m / (std::sqrt(v) + static_cast<T>(attrs.epsilon));
    }
  }
}

}  // namespace

void reference_lazy_adam(Registry& registry) {
  registry.add("lazy_adam", update<float>, update<double>);
}

}  // namespace gpunn::reference
