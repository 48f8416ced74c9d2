#include "src/ops/embedding.hpp"

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void forward(const Run<T>& run) {
  const std::int64_t width = run.shape(1)[1];
  for (std::int64_t i = 0; i < run.out_shape(0).elements(); ++i) {
    const auto id = static_cast<std::int64_t>(run.inputs[0][i / width]);
    run.outputs[0][i] = run.inputs[1][id * width + i % width];
  }
}

template <class T>
void backward(const Run<T>& run) {
  const std::int64_t width = run.shape(1)[-1];
  for (std::int64_t i = 0; i < run.shape(1).elements(); ++i) {
    const auto id = static_cast<std::int64_t>(run.inputs[0][i / width]);
    run.outputs[0][id * width + i % width] += run.inputs[1][i];
  }
}

}  // namespace

void reference_embedding(Registry& registry) {
  registry.add("embedding", forward<float>, forward<double>);
  registry.add("embedding_backward", backward<float>, backward<double>);
}

}  // namespace gpunn::reference
