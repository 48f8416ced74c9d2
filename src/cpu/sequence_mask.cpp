#include "src/ops/sequence_mask.hpp"

#include <algorithm>

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

// Numbers of one step.
std::int64_t step_elements(const Shape& x) {
  return x[1] == 0 ? 0 : ops::row_elements(x) / x[1];
}

template <class T>
Implementation mask_of(const OpCall& call) {
  const std::int64_t steps = call.inputs[0].shape[1], features = step_elements(call.inputs[0].shape);
  const auto value = static_cast<T>(call.attrs_as<ops::SequenceMaskAttrs>().value);
  return sliced("loop", "", [=](const Slice& s) {
    for (std::int64_t i = 0; i < s.rows * steps; ++i) {
      const T* step = s.in<T>(0) + i * features;
      s.out<std::uint8_t>(0)[i] = std::any_of(step, step + features, [=](T x) { return x != value; });
    }
  });
}

Implementation sequence_mask(const OpCall& call, const Target&) {
  return call.inputs[0].dtype == Dtype::i32 ? mask_of<std::int32_t>(call) : mask_of<float>(call);
}

Implementation apply_mask(const OpCall& call, const Target&) {
  const std::int64_t steps = call.inputs[0].shape[1], features = step_elements(call.inputs[0].shape);
  return sliced("loop", "step by step", [=](const Slice& s) {
    for (std::int64_t i = 0; i < s.rows * steps; ++i) {
      const bool real = s.in<std::uint8_t>(1)[i] != 0;
      const float* x = s.in(0) + i * features;
      float* y = s.out(0) + i * features;
      for (std::int64_t k = 0; k < features; ++k) put(y[k], real ? x[k] : 0.0f, s.add(0));
    }
  });
}

Implementation merge_masks(const OpCall& call, const Target&) {
  const std::int64_t steps = call.inputs[0].shape[1], others = call.inputs[1].shape[1];
  if (call.attrs_as<ops::MergeMasksAttrs>().join) {
    return sliced("loop", "row by row", [=](const Slice& s) {
      const std::uint8_t *a = s.in<std::uint8_t>(0), *b = s.in<std::uint8_t>(1);
      std::uint8_t* y = s.out<std::uint8_t>(0);
      for (std::int64_t row = 0; row < s.rows; ++row) {
        y = std::copy_n(a + row * steps, steps, y);
        y = std::copy_n(b + row * others, others, y);
      }
    });
  }
  return sliced("loop", "", [=](const Slice& s) {
    const std::uint8_t *a = s.in<std::uint8_t>(0), *b = s.in<std::uint8_t>(1);
    for (std::int64_t i = 0; i < s.rows * steps; ++i) s.out<std::uint8_t>(0)[i] = a[i] | b[i];
  });
}

}  // namespace

void implement_sequence_mask(Registry& registry) {
  registry.add("sequence_mask", sequence_mask);
  registry.add("apply_mask", apply_mask);
  registry.add("merge_masks", merge_masks);
}

}  // namespace gpunn::cpu
