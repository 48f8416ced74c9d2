// Recurrent layers by cuDNN's RNN: for more units than kernels over whole sequences take, where it computes
// the same and its bits are as reproducible as was asked for.
//
// What it keeps for backward, its reserve, is larger than what the op's own way keeps: a pass makes the
// output `kept` large enough (recurrent_reserve), where it has one reader, because backward uses it up.
#pragma once

#include "src/cuda/libraries/rnn.hpp"

namespace gpunn::cuda {

struct RecurrentCall;

struct RecurrentLibrary {
  Rnn rnn;
  RnnSizes sizes;
  std::string why;
};

// Nothing where cuDNN does not take the layer, and `why` says why.
std::optional<RecurrentLibrary> choose_recurrent_library(const RecurrentCall& layer, const OpCall& call,
                                                         const Target& target, std::string& why);

// Floats of `kept` per row and step of the batch that cuDNN needs to compute this forward node, or 0.
std::int64_t recurrent_reserve(const OpCall& forward, const Target& target);

// REQUIRES: layer.library. `own`: what is done where cuDNN refuses when it is bound. It refuses forward and
// backward alike: both ask the same.
Implementation recurrent_forward_by_library(const RecurrentCall& layer, Implementation own);
Implementation recurrent_backward_by_library(const RecurrentCall& layer, const OpCall& call,
                                             Implementation own);

}  // namespace gpunn::cuda
