#include "src/ops/sequence_mask.hpp"

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
std::int64_t step_elements(const Run<T>& run) {
  const std::int64_t steps = run.shape(0)[0] * run.shape(0)[1];
  return steps == 0 ? 0 : run.shape(0).elements() / steps;
}

template <class T>
void sequence_mask(const Run<T>& run) {
  const auto value = static_cast<T>(run.template attrs<ops::SequenceMaskAttrs>().value);
  const std::int64_t features = step_elements(run);
  for (std::int64_t i = 0; i < run.out_shape(0).elements(); ++i) {
    run.outputs[0][i] = 0;
    for (std::int64_t k = 0; k < features; ++k) {
      if (run.inputs[0][i * features + k] != value) run.outputs[0][i] = 1;
    }
  }
}

template <class T>
void apply_mask(const Run<T>& run) {
  const std::int64_t features = step_elements(run);
  for (std::int64_t i = 0; i < run.shape(0).elements(); ++i) {
    run.outputs[0][i] = run.inputs[1][i / features] != 0 ? run.inputs[0][i] : 0;
  }
}

}  // namespace

void reference_sequence_mask(Registry& registry) {
  registry.add("sequence_mask", sequence_mask<float>, sequence_mask<double>);
  registry.add("apply_mask", apply_mask<float>, apply_mask<double>);
}

}  // namespace gpunn::reference
