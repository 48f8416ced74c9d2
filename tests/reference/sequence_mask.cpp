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

template <class T>
void merge_masks(const Run<T>& run) {
  const std::int64_t width = run.out_shape(0)[1], steps = run.shape(0)[1], others = run.shape(1)[1];
  const bool join = run.template attrs<ops::MergeMasksAttrs>().join;
  for (std::int64_t row = 0; row < run.out_shape(0)[0]; ++row) {
    for (std::int64_t t = 0; t < width; ++t) {
      const T* a = run.inputs[0] + row * steps;
      const T* b = run.inputs[1] + row * others;
      const bool real = join ? (t < steps ? a[t] != 0 : b[t - steps] != 0) : a[t] != 0 || b[t] != 0;
      run.outputs[0][row * width + t] = real ? 1 : 0;
    }
  }
}

}  // namespace

void reference_sequence_mask(Registry& registry) {
  registry.add("sequence_mask", sequence_mask<float>, sequence_mask<double>);
  registry.add("apply_mask", apply_mask<float>, apply_mask<double>);
  registry.add("merge_masks", merge_masks<float>, merge_masks<double>);
}

}  // namespace gpunn::reference
