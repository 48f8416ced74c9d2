#include "src/ops/lazy_adam.hpp"

#include "kernels/lazy_adam.hpp"
#include "src/core/text.hpp"
#include "src/cuda/optimizers.hpp"

namespace gpunn::cuda {
namespace {

Implementation update(const OpCall& call, const Target&) {
  const kernels::EmbeddingShape shape{.positions = call.inputs[0].shape.elements(),
                                      .columns = call.inputs[2].shape[1],
                                      .rows = call.inputs[2].shape[0]};
  const auto& attrs = call.attrs_as<ops::LazyAdamAttrs>();
  const kernels::AdamAttributes attributes{attrs.beta1, attrs.beta2, attrs.epsilon, true};
  Implementation made = own_kernel(
      [=](const Launch& l) {
        kernels::lazy_adam(gpu_of(l), shape, attributes, state_in(l), l.in<std::int32_t>(0), l.in(1),
                           {l.mutated(2), l.mutated(3), l.mutated(4)}, static_cast<float*>(l.scratch));
      },
      1, call.inputs[1].size_bytes());
  made.why = cat("not Adam: at most ", std::min(shape.rows, shape.positions), " rows of ", shape.rows,
                 ", where Adam reads and writes ", shape.rows * shape.columns * 28 / 1024, " KiB of all");
  return made;
}

}  // namespace

void implement_lazy_adam() {
  register_op("lazy_adam", update);
}

}  // namespace gpunn::cuda
