// What the glue of the losses has in common: weights per row, scratch, the gradient's scale.
#pragma once

#include "kernels/loss.hpp"
#include "src/cuda/matrix.hpp"
#include "src/cuda/registry.hpp"
#include "src/ops/losses.hpp"

namespace gpunn::cuda {

// Losses see [batch, ..., columns] as rows of columns, and read a weight for each: those of samples are
// spread over their rows by loss_weights.
struct LossShape {
  kernels::Matrix matrix;
  bool dense = true;  // f32 targets; else i32 labels

  explicit LossShape(const OpCall& call)
      : matrix(matrix_of(call.inputs[0].shape)), dense(ops::is_f32(call, 1)) {
    expects(!ops::has(call, 2) || matrix.rows == call.inputs[2].shape.elements(), call,
            "weights on cuda must be one for each vector of classes");
  }
  std::size_t scratch() const {
    return static_cast<std::size_t>(kernels::loss_scratch_floats(matrix)) * sizeof(float);
  }
  int launches() const { return scratch() > 0 ? 2 : 1; }
};

inline kernels::LossGradient loss_gradient(const Launch& l, const LossShape& shape) {
  kernels::LossGradient gradient;
  gradient.dx = l.out(0);
  gradient.mode = accumulate_of(l, 0);
  gradient.scale = 1.0f / static_cast<float>(shape.matrix.rows);
  gradient.upstream = l.in(3);
  return gradient;
}

// What a loss writes, alone or with its gradient and accuracy (ops::define_with_gradient).
struct LossCall {
  LossShape shape;
  bool probabilities, gradient = false, accuracy = false;

  explicit LossCall(const OpCall& call, bool logits) : shape(call), probabilities(logits) {
    if (!call.op.ends_with(ops::kWithGradient)) return;
    gradient = true;
    accuracy = call.attrs_as<ops::LossGradientAttrs>().accuracy;
  }
  int dx() const { return probabilities ? 2 : 1; }  // number of that output

  kernels::LossOutputs outputs(const Launch& l) const {
    kernels::LossOutputs out;
    out.loss = l.out(0);
    if (probabilities) out.probabilities = l.out(1);
    if (accuracy) out.metric = l.out(dx() + 1);
    out.scratch = static_cast<float*>(l.scratch);
    return out;
  }
  kernels::LossGradient with_gradient(const Launch& l) const {
    kernels::LossGradient made;
    if (gradient) made.dx = l.out(dx());
    made.scale = 1.0f / static_cast<float>(shape.matrix.rows);
    return made;
  }
};

}  // namespace gpunn::cuda
