#include "src/cuda/registry.hpp"

namespace gpunn::cuda {

void register_builtin_ops() {
  static const bool done = [] {
#define GPUNN_OP(stem) implement_##stem();
#include "src/ops/ops.def"
#undef GPUNN_OP
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace gpunn::cuda
