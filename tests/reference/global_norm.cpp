#include "src/ops/global_norm.hpp"

#include <cmath>

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void squared_norms(const Run<T>& run) {
  const auto pieces =
      ops::update_chunks(run.template attrs<ops::SquaredNormsAttrs>().segments, ops::kUpdatePiece);
  for (std::size_t k = 0; k < pieces.size(); ++k) {
    T sum = 0;
    for (std::int64_t i = 0; i < pieces[k].count; ++i) {
      const T g = run.inputs[0][pieces[k].begin + i];
      sum += g * g;
    }
    run.outputs[0][k] = sum;
  }
}

template <class T>
void global_norm(const Run<T>& run) {
  T sum = 0;
  for (std::int64_t i = 0; i < run.shape(0).elements(); ++i) sum += run.inputs[0][i];
  run.outputs[0][0] = std::sqrt(sum) * static_cast<T>(std::abs(run.step.gradient_scale));
}

}  // namespace

void reference_global_norm(Registry& registry) {
  registry.add("squared_norms", squared_norms<float>, squared_norms<double>);
  registry.add("global_norm", global_norm<float>, global_norm<double>);
}

}  // namespace gpunn::reference
