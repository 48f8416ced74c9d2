#include "src/ops/affine.hpp"

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void forward(const Run<T>& run) {
  const auto& attrs = run.template attrs<ops::AffineAttrs>();
  for (std::int64_t i = 0; i < run.shape(0).elements(); ++i) {
    run.outputs[0][i] = run.inputs[0][i] * static_cast<T>(attrs.scale) + static_cast<T>(attrs.offset);
  }
}

}  // namespace

void reference_affine(Registry& registry) {
  registry.add("affine", forward<float>, forward<double>);
}

}  // namespace gpunn::reference
