// What both directions of a recurrent layer know of their call.
#pragma once

#include "gpunn/cuda.hpp"
#include "kernels/recurrent_steps.hpp"
#include "src/cuda/recurrent_cudnn.hpp"
#include "src/ops/common.hpp"
#include "src/ops/recurrent.hpp"

namespace gpunn::cuda {

struct RecurrentCall {
  ops::RecurrentAttrs attrs;
  kernels::RecurrentSteps steps;  // without its pointers
  std::int64_t gates = 0, input = 0;
  std::int64_t vocabulary = 0;  // rows of the table in which x is looked up; 0: x is given
  int input_masks = 0;
  bool bias = false;
  std::string why_steps;     // why the layer goes step by step; empty: whole sequences in one launch
  std::string why;           // of either
  bool takes_input = false;  // the input's product is part of the launch
  std::optional<RecurrentLibrary> library;  // what would go step by step goes to cuDNN

  RecurrentCall(const OpCall& call, const Target& target);

  const kernels::RecurrentShape& shape() const { return steps.shape; }
  std::int64_t places() const { return shape().rows * shape().steps; }
  std::int64_t units() const { return shape().units; }
  bool lstm() const { return attrs.cell == ops::RecurrentCell::lstm; }
  bool two_biases() const { return bias && ops::recurrent_biases(attrs.cell) == 2; }
  bool resets_before() const { return attrs.cell == ops::RecurrentCell::gru_reset_before; }
  kernels::RecurrentSteps with_mask(const Launch& l) const {
    kernels::RecurrentSteps made = steps;
    made.state_mask = l.in(ops::kRecurrentStateDropout);
    return made;
  }
  kernels::FeatureMasks feature_masks() const { return {shape().rows, shape().steps, input, input_masks}; }
  // For kernels that take the input themselves; dx is left out.
  kernels::RecurrentInput input_of(const Launch& l) const {
    kernels::RecurrentInput in;
    in.width = input;
    in.x = l.in(vocabulary > 0 ? ops::kRecurrentTable : ops::kRecurrentX);
    if (vocabulary > 0) in.ids = l.in<std::int32_t>(ops::kRecurrentX);
    in.vocabulary = vocabulary;
    in.kernel = l.in(ops::kRecurrentKernel);
    in.bias = l.in(ops::kRecurrentBias);
    in.mask = l.in(ops::kRecurrentInputDropout);
    return in;
  }
  // 1, or the gates where each is a product of its own.
  std::int64_t x_parts() const { return steps.split_x ? gates : 1; }
  std::int64_t s_parts() const { return steps.split_s ? gates : 1; }

  // Where what backward needs lies in the output `kept`.
  struct Kept {
    float *gates, *cells, *y;
  };
  Kept kept_at(float* kept) const;
};

Implementation recurrent_forward(const OpCall& call, const Target& target);
Implementation recurrent_backward(const OpCall& call, const Target& target);

}  // namespace gpunn::cuda
