#include "src/ops/dropout.hpp"

#include "gpunn/random.hpp"
#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void forward(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::DropoutAttrs>();
  const PhiloxKey key{run.step.seed, attrs.stream, static_cast<std::uint32_t>(run.step.step)};
  for (std::int64_t i = 0; i < run.shape(0).elements(); ++i) {
    const bool stays = uniform01(key, static_cast<std::uint64_t>(i)) >= attrs.rate;
    run.outputs[0][i] = stays ? run.inputs[0][i] / (1 - static_cast<T>(attrs.rate)) : T(0);
  }
}

template <class T>
void mask(const Run<T>& run) {
  const ops::DropoutAttrs& attrs = run.template attrs<ops::DropoutMaskAttrs>().dropout;
  const PhiloxKey key{run.step.seed, attrs.stream, static_cast<std::uint32_t>(run.step.step)};
  for (std::int64_t i = 0; i < run.out_shape(0).elements(); ++i) {
    const bool stays = uniform01(key, static_cast<std::uint64_t>(i)) >= attrs.rate;
    run.outputs[0][i] = stays ? 1 / (1 - static_cast<T>(attrs.rate)) : T(0);
  }
}

}  // namespace

void reference_dropout(Registry& registry) {
  registry.add("dropout", forward<float>, forward<double>);
  registry.add("dropout_mask", mask<float>, mask<double>);
}

}  // namespace gpunn::reference
