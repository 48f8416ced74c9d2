#include "kernels/softmax.hpp"

#include "src/cuda/matrix.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

Implementation forward(const OpCall& call, const Target&) {
  const kernels::Matrix shape = matrix_of(call.inputs[0].shape);
  return own_kernel([=](const Launch& l) { kernels::softmax_forward(gpu_of(l), shape, l.in(0), l.out(0)); });
}

Implementation backward(const OpCall& call, const Target&) {
  const kernels::Matrix shape = matrix_of(call.inputs[0].shape);
  return own_kernel([=](const Launch& l) {
    kernels::softmax_backward(gpu_of(l), shape, accumulate_of(l, 0), l.in(0), l.in(1), l.out(0));
  });
}

}  // namespace

void implement_softmax() {
  register_op("softmax", forward);
  register_op("softmax_backward", backward);
}

}  // namespace gpunn::cuda
