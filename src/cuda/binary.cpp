#include "src/cuda/binary.hpp"

#include "kernels/reduce.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
kernels::Binary kernel_kind(ops::Binary kind) {
  switch (kind) {
    case ops::Binary::add:
      return kernels::Binary::add;
    case ops::Binary::subtract:
      return kernels::Binary::subtract;
    case ops::Binary::multiply:
      return kernels::Binary::multiply;
    case ops::Binary::divide:
      return kernels::Binary::divide;
    case ops::Binary::maximum:
      return kernels::Binary::maximum;
    case ops::Binary::minimum:
      return kernels::Binary::minimum;
  }
  throw UsageError("a binary op without a kernel");
}

namespace {

Implementation forward(const OpCall& call, const Target&) {
  const auto kind = kernel_kind(call.attrs_as<ops::BinaryAttrs>().kind);
  const auto shape = kernels::broadcast_shape(call.inputs[0].shape.extents(), call.inputs[1].shape.extents());
  return own_kernel(
      [=](const Launch& l) { kernels::binary(gpu_of(l), kind, shape, l.in(0), l.in(1), l.out(0)); });
}

Implementation backward(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::BinaryBackwardAttrs>();
  const auto kind = kernel_kind(attrs.kind);
  const int operand = attrs.operand;
  const auto shape = kernels::broadcast_shape(call.inputs[1].shape.extents(), call.inputs[2].shape.extents());
  return own_kernel([=](const Launch& l) {
    kernels::binary_backward(gpu_of(l), kind, operand, shape, l.in(0), l.in(1), l.in(2), l.out(0));
  });
}

// Sums over every axis in which the target is 1 or missing.
Implementation reduce(const OpCall& call, const Target&) {
  const Shape& x = call.inputs[0].shape;
  const Shape& target = call.outputs[0].shape;
  unsigned axes = 0;
  for (int axis = 0; axis < x.rank(); ++axis) {
    const int at = axis - (x.rank() - target.rank());
    if (at < 0 || target[at] != x[axis]) axes |= 1u << axis;
  }
  const auto shape = kernels::reduce_shape(x.extents(), axes);
  const std::int64_t scratch = kernels::reduce_scratch_floats(shape);
  return own_kernel(
      [=](const Launch& l) {
        kernels::reduce_sum(gpu_of(l), shape, accumulate_of(l, 0), 1.0f, l.in(0), l.out(0),
                            static_cast<float*>(l.scratch));
      },
      scratch > 0 ? 2 : 1, static_cast<std::size_t>(scratch) * sizeof(float));
}

}  // namespace

void implement_binary() {
  register_op("binary", forward);
  register_op("binary_backward", backward);
  register_op("reduce_each", reduce);
  register_op("reduce_sum", reduce);
}

}  // namespace gpunn::cuda
