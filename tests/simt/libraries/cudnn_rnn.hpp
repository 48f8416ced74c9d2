// The stand-in for cuDNN's RNN: what its descriptors say, and its documented formulas in double.
//
// Numbers of the parts of the weights (linLayerID), as the library documents them: of an LSTM 0 input gate, 1
// forget gate, 2 new memory, 3 output gate; of a GRU 0 reset, 1 update, 2 new memory; the same plus their
// count for what is multiplied with the state. Each matrix has a row for each unit. Where the parts lie in
// the weight space is the library's own affair: here one behind the other, each with its bias and a gap.
#pragma once

#include <cudnn.h>

#include <cstdint>
#include <vector>

struct cudnnDropoutStruct {
  bool set = false;
};
struct cudnnTensorStruct {
  std::vector<int> dims, strides;
};
struct cudnnRNNDataStruct {
  int longest = 0, batch = 0, features = 0;
  std::vector<int> lengths;
};
struct cudnnRNNStruct {
  bool set = false;
  cudnnRNNMode_t mode{};
  cudnnRNNBiasMode_t bias{};
  bool tensor_cores = false;
  std::int64_t input = 0, units = 0;
  cudnnDropoutDescriptor_t dropout = nullptr;

  int gates() const { return mode == CUDNN_LSTM ? 4 : mode == CUDNN_GRU ? 3 : 1; }
  bool has_bias(int part) const {
    switch (bias) {
      case CUDNN_RNN_DOUBLE_BIAS:
        return true;
      case CUDNN_RNN_SINGLE_INP_BIAS:
        return part < gates();
      case CUDNN_RNN_SINGLE_REC_BIAS:
        return part >= gates();
      default:
        return false;
    }
  }
  std::int64_t columns(int part) const { return part < gates() ? input : units; }
  // In floats, from the start of the weight space.
  std::int64_t matrix_at(int part) const {
    constexpr std::int64_t kGap = 16;
    std::int64_t at = 0;
    for (int k = 0; k < part; ++k) at += units * columns(k) + (has_bias(k) ? units : 0) + kGap;
    return at;
  }
  std::int64_t bias_at(int part) const { return matrix_at(part) + units * columns(part); }
  std::int64_t weight_floats() const { return matrix_at(2 * gates()); }
};

namespace simt::cudnn {

// What lies in the reserve, in front of one record per place.
struct ReserveHead {
  std::uint64_t magic, problem, operands;
  enum Stage : std::uint64_t { kForward = 1, kData, kWeights, kSpoilt } stage;
};

// One call, everything frozen as the library freezes it. Null where a thing is absent.
struct RnnCall {
  cudnnRNNStruct rnn;
  std::int64_t batch = 0, steps = 0;
  const float *x = nullptr, *hx = nullptr, *cx = nullptr, *weights = nullptr;
  float *y = nullptr, *hy = nullptr, *cy = nullptr;
  const float *dy = nullptr, *dhy = nullptr, *dcy = nullptr;
  float *dx = nullptr, *dhx = nullptr, *dcx = nullptr, *dweights = nullptr;
  void* reserve = nullptr;

  // Of one place: the gates, then their sums' gradients, of both sides.
  std::int64_t record() const { return 5 * rnn.units + 2 * rnn.gates() * rnn.units; }
  std::size_t reserve_bytes() const {
    return sizeof(ReserveHead) + static_cast<std::size_t>(batch * steps * record()) * sizeof(double);
  }
  double* at(std::int64_t row, std::int64_t step) const {
    auto* records = reinterpret_cast<double*>(static_cast<char*>(reserve) + sizeof(ReserveHead));
    return records + (row * steps + step) * record();
  }

  void forward() const;
  void backward_data() const;
  void backward_weights() const;
};

}  // namespace simt::cudnn
