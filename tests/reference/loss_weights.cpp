#include "src/ops/loss_weights.hpp"

#include "tests/reference/reference.hpp"

namespace gpunn::reference {
namespace {

template <class T>
void mask_count(const Run<T>& run) {
  T count = 0;
  for (std::int64_t i = 0; i < run.shape(0).elements(); ++i) count += run.inputs[0][i] != 0 ? 1 : 0;
  run.outputs[0][0] = count;
}

template <class T>
void loss_weights(const Run<T>& run) {
  const std::int64_t batch = run.out_shape(0)[0], vectors = run.out_shape(0)[1];
  for (std::int64_t n = 0; n < batch; ++n) {
    for (std::int64_t v = 0; v < vectors; ++v) {
      T weight = 1;
      if (run.has(0))
        weight = run.shape(0).elements() == batch ? run.inputs[0][n] : run.inputs[0][n * vectors + v];
      if (run.has(1)) {
        const std::int64_t steps = run.shape(1)[1], step = v / (vectors / steps);
        T share = run.inputs[1][n * steps + step];
        if (run.has(2))
          share *= run.inputs[2][0] == 0 ? T(0) : static_cast<T>(batch * steps) / run.inputs[2][0];
        weight *= share;
      }
      run.outputs[0][n * vectors + v] = weight;
    }
  }
}

}  // namespace

void reference_loss_weights(Registry& registry) {
  registry.add("mask_count", mask_count<float>, mask_count<double>);
  registry.add("loss_weights", loss_weights<float>, loss_weights<double>);
}

}  // namespace gpunn::reference
