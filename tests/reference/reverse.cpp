#include "src/ops/reverse.hpp"

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void forward(const Run<T>& run) {
  const Shape& x = run.shape(0);
  const std::int64_t rows = x[0], steps = x[1];
  const std::int64_t features = rows * steps == 0 ? 0 : x.elements() / (rows * steps);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t t = 0; t < steps; ++t) {
      for (std::int64_t k = 0; k < features; ++k) {
        run.outputs[0][(row * steps + t) * features + k] =
            run.inputs[0][(row * steps + (steps - 1 - t)) * features + k];
      }
    }
  }
}

}  // namespace

void reference_reverse(Registry& registry) {
  registry.add("reverse", forward<float>, forward<double>);
}

}  // namespace gpunn::reference
