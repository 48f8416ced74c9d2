// Recurrent layers by cuDNN as the ops see them, without a header of cuDNN: a build without it has this too,
// and answers that there is none.
//
// Sequences are [batch, steps, features], all of them `steps` long, read from the first step to the last.
// cuDNN's GRU resets after the product, with a bias of its own for the state's share, as Keras's does.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "gpunn/cuda.hpp"
#include "kernels/rnn_weights.hpp"

struct cudnnContext;

namespace gpunn::cuda {

enum class RnnCell : std::uint8_t { relu, tanh, gru, lstm };

struct Rnn {
  RnnCell cell = RnnCell::gru;
  std::int64_t batch = 0, steps = 0, input = 0, units = 0;
  bool bias = false;      // one; of a GRU, and only there, two
  bool tf32 = false;      // float operands may be rounded to TF32; else full fp32 arithmetic
  bool training = false;  // forward leaves in the reserve what backward needs
};

// Bytes of device memory.
struct RnnSizes {
  std::size_t weights = 0;    // the space that all weights are packed into, and their gradients
  std::size_t workspace = 0;  // of each call
  std::size_t reserve = 0;    // in training: written by forward, read and written by backward
  bool asked = false;         // cuDNN said so; else a bound of ours, for a device that is not there
};

// Whether the bits of cuDNN's RNN are the same every time: NVIDIA promises it only where cuBLAS has buffers
// of a single size, which it takes from the environment. `why` says what there is, or what to set.
bool is_rnn_reproducible(std::string& why);

// What a plan needs to know. cuDNN tells sizes of a device that is there (target.ordinal, current when this
// is called) and of no other. Nothing where cuDNN cannot do this, and `why` says why. Remembered per process
// and question.
std::optional<RnnSizes> find_rnn(const Target& target, const Rnn& rnn, std::string& why);

struct RnnForward {
  const float* x = nullptr;
  const float* h0 = nullptr;  // [batch, units], or null: zeros; c0 likewise
  const float* c0 = nullptr;
  const float* weights = nullptr;  // packed
  float* y = nullptr;              // [batch, steps, units]
  float* h_last = nullptr;
  float* c_last = nullptr;  // LSTM
};
struct RnnBackward {
  const float* x = nullptr;  // as forward had them, with the reserve that it left
  const float* h0 = nullptr;
  const float* c0 = nullptr;
  const float* weights = nullptr;
  const float* y = nullptr;
  const float* dy = nullptr;
  const float* dh_last = nullptr;  // or null: zeros; dc_last likewise
  const float* dc_last = nullptr;
  float* dx = nullptr;
  float* dh0 = nullptr;  // or null: not wanted; dc0 likewise
  float* dc0 = nullptr;
  float* dweights = nullptr;  // packed
};

// A layer bound to a handle. Calls allocate nothing and do not wait.
class RnnPlan {
 public:
  // Nothing where cuDNN needs more than `booked`, or keeps weights in a way that is not known here.
  // `lengths`: int32 [batch], each `steps`, in device memory; `weights`: where they will be packed.
  static std::optional<RnnPlan> bind(cudnnContext* handle, const Rnn& rnn, const RnnSizes& booked,
                                     const std::int32_t* lengths, float* weights, std::string& why);

  const kernels::RnnWeights& weights() const;
  // Zeros between the packed weights, where cuDNN leaves any room there: before they are packed.
  void clear_gaps(void* stream, float* weights) const;
  // Queue on `stream`, with the workspace and the reserve of these calls.
  void forward(void* stream, const RnnForward& f, void* workspace, void* reserve) const;
  // Once for each forward: the reserve is used up by it.
  void backward(void* stream, const RnnBackward& b, void* workspace, void* reserve) const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // copied into the closures of a bound step
};

}  // namespace gpunn::cuda
