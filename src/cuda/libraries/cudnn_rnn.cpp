// cuDNN's RNN: its descriptors, sizes and calls. Its order of gates: r z h (GRU), i f g o (LSTM); gate k is
// matrix k for the input and k + gates for the state, each [units, features] and packed.
#include <cstdlib>
#include <limits>
#include <map>
#include <mutex>
#include <vector>

#include "src/cuda/libraries/cudnn_graph.hpp"
#include "src/cuda/libraries/rnn.hpp"

namespace gpunn::cuda {
namespace {

using Dropout = Handle<cudnnDropoutDescriptor_t, &cudnnDestroyDropoutDescriptor>;
using Network = Handle<cudnnRNNDescriptor_t, &cudnnDestroyRNNDescriptor>;
using Sequences = Handle<cudnnRNNDataDescriptor_t, &cudnnDestroyRNNDataDescriptor>;
using Tensor = Handle<cudnnTensorDescriptor_t, &cudnnDestroyTensorDescriptor>;
using kernels::RnnWeights;

int gates_of(RnnCell cell) {
  return cell == RnnCell::lstm ? 4 : cell == RnnCell::gru ? 3 : 1;
}

cudnnRNNMode_t mode_of(RnnCell cell) {
  switch (cell) {
    case RnnCell::relu:
      return CUDNN_RNN_RELU;
    case RnnCell::tanh:
      return CUDNN_RNN_TANH;
    case RnnCell::gru:
      return CUDNN_GRU;
    case RnnCell::lstm:
      break;
  }
  return CUDNN_LSTM;
}

cudnnRNNBiasMode_t bias_of(const Rnn& rnn) {
  if (!rnn.bias) return CUDNN_RNN_NO_BIAS;
  return rnn.cell == RnnCell::gru ? CUDNN_RNN_DOUBLE_BIAS : CUDNN_RNN_SINGLE_INP_BIAS;
}

// cuDNN's number of a gate of ours, which come as z r g or i f g o.
int gate_of(RnnCell cell, int ours) {
  return cell == RnnCell::gru && ours < 2 ? 1 - ours : ours;
}

Sequences sequences(const Rnn& rnn, std::int64_t features) {
  auto made = make_handle<Sequences>(cudnnCreateRNNDataDescriptor);
  const std::vector<int> lengths(static_cast<std::size_t>(rnn.batch), static_cast<int>(rnn.steps));
  float padding = 0;
  check(cudnnSetRNNDataDescriptor(made.get(), CUDNN_DATA_FLOAT, CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED,
                                  static_cast<int>(rnn.steps), static_cast<int>(rnn.batch),
                                  static_cast<int>(features), lengths.data(), &padding));
  return made;
}

// Everything that describes a layer. The dropout that the network refers to must live as long.
struct Description {
  Dropout dropout;
  Network network;
  Sequences x, y;
  Tensor state;

  Description(cudnnHandle_t handle, const Rnn& rnn)
      : dropout(make_handle<Dropout>(cudnnCreateDropoutDescriptor)),
        network(make_handle<Network>(cudnnCreateRNNDescriptor)),
        x(sequences(rnn, rnn.input)),
        y(sequences(rnn, rnn.units)),
        state(make_handle<Tensor>(cudnnCreateTensorDescriptor)) {
    // None between layers, of which there is one: so no states, and nothing random to keep.
    check(cudnnSetDropoutDescriptor(dropout.get(), handle, 0, nullptr, 0, 0));
    const auto input = static_cast<std::int32_t>(rnn.input), units = static_cast<std::int32_t>(rnn.units);
    check(cudnnSetRNNDescriptor_v8(network.get(), CUDNN_RNN_ALGO_STANDARD, mode_of(rnn.cell), bias_of(rnn),
                                   CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, CUDNN_DATA_FLOAT,
                                   CUDNN_DATA_FLOAT,
                                   rnn.tf32 ? CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION : CUDNN_FMA_MATH, input,
                                   units, units, 1, dropout.get(), CUDNN_RNN_PADDED_IO_ENABLED));
    const int dims[] = {1, static_cast<int>(rnn.batch), units};
    const int strides[] = {static_cast<int>(rnn.batch) * units, units, 1};
    check(cudnnSetTensorNdDescriptor(state.get(), CUDNN_DATA_FLOAT, 3, dims, strides));
  }

  RnnSizes sizes(cudnnHandle_t handle, const Rnn& rnn) const {
    RnnSizes sizes;
    sizes.asked = true;
    check(cudnnGetRNNWeightSpaceSize(handle, network.get(), &sizes.weights));
    check(cudnnGetRNNTempSpaceSizes(handle, network.get(),
                                    rnn.training ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE,
                                    x.get(), &sizes.workspace, &sizes.reserve));
    return sizes;
  }
};

// Our own bound. cuDNN documents none: all sums of gates and copies of all sequences, twice over, fit in it.
RnnSizes bound_of(const Rnn& rnn) {
  const std::int64_t gates = gates_of(rnn.cell), places = rnn.batch * rnn.steps;
  constexpr std::int64_t kSlack = 1 << 20;
  const auto bytes = [&](std::int64_t floats) { return static_cast<std::size_t>(4 * floats + kSlack); };
  RnnSizes sizes;
  sizes.weights = bytes(gates * rnn.units * (rnn.input + rnn.units + 2));
  sizes.workspace = bytes(2 * places * (2 * rnn.input + (gates + 4) * rnn.units));
  if (rnn.training) sizes.reserve = bytes(2 * places * (gates + 2) * rnn.units);
  return sizes;
}

struct Answer {
  std::optional<RnnSizes> sizes;
  std::string why;
};

Answer ask(const Target& target, const Rnn& rnn) {
  Answer answer;
  try {
    check_cudnn_version();
    if (target.ordinal < 0) {
      answer.sizes = bound_of(rnn);
    } else {
      const auto handle = make_handle<Cudnn>(cudnnCreate);
      answer.sizes = Description(handle.get(), rnn).sizes(handle.get(), rnn);
    }
  } catch (const OutOfMemory&) {
    throw;  // no answer to the question
  } catch (const DeviceError& error) {
    answer.why = error.what();
  }
  return answer;
}

std::vector<int> dimensions(cudnnTensorDescriptor_t raw, std::vector<int>& strides) {
  cudnnDataType_t type{};
  int count = 0;
  std::vector<int> dims(8);
  strides.assign(8, 0);
  check(cudnnGetTensorNdDescriptor(raw, 8, &type, &count, dims.data(), strides.data()));
  dims.resize(static_cast<std::size_t>(count)), strides.resize(dims.size());
  return dims;
}

// Whether a part of the weights is a packed matrix of these rows and columns.
bool is_packed(cudnnTensorDescriptor_t raw, std::int64_t rows, std::int64_t columns) {
  std::vector<int> strides;
  const std::vector<int> dims = dimensions(raw, strides);
  return dims.size() == 3 && dims[0] == 1 && dims[1] == rows && dims[2] == columns && strides[2] == 1 &&
         strides[1] == columns;
}

// Where cuDNN keeps each gate; false: in another way than a packed matrix.
bool locate(cudnnHandle_t handle, const Description& d, const Rnn& rnn, std::size_t bytes,
            const float* weights, RnnWeights& at) {
  const auto matrix = make_handle<Tensor>(cudnnCreateTensorDescriptor);
  const auto bias = make_handle<Tensor>(cudnnCreateTensorDescriptor);
  const int gates = gates_of(rnn.cell);
  at.input = rnn.input, at.units = rnn.units, at.gates = gates;
  for (int k = 0; k < 2 * gates; ++k) {
    const bool of_state = k >= gates;
    const int gate = k % gates;
    void *matrix_at = nullptr, *bias_at = nullptr;
    check(cudnnGetRNNWeightParams(handle, d.network.get(), 0, bytes, weights,
                                  gate_of(rnn.cell, gate) + (of_state ? gates : 0), matrix.get(), &matrix_at,
                                  bias.get(), &bias_at));
    if (!is_packed(matrix.get(), rnn.units, of_state ? rnn.units : rnn.input)) return false;
    const auto offset = [&](const void* address) { return static_cast<const float*>(address) - weights; };
    const auto g = static_cast<std::size_t>(gate);
    (of_state ? at.recurrent : at.kernel)[g] = offset(matrix_at);
    const bool expected = rnn.bias && (!of_state || rnn.cell == RnnCell::gru);
    if ((bias_at != nullptr) != expected) return false;
    if (!expected) continue;
    if (!is_packed(bias.get(), rnn.units, 1)) return false;
    (of_state ? at.recurrent_bias : at.bias)[g] = offset(bias_at);
  }
  return true;
}

}  // namespace

bool is_rnn_reproducible(std::string& why) {
  const char* set = std::getenv("CUBLAS_WORKSPACE_CONFIG");
  const std::string config = set == nullptr ? "" : set;
  if (config == ":16:8" || config == ":4096:2") {
    why = "CUBLAS_WORKSPACE_CONFIG=" + config;
    return true;
  }
  why = "cuDNN's RNN is not reproducible here: set CUBLAS_WORKSPACE_CONFIG to :4096:2 or :16:8";
  return false;
}

std::optional<RnnSizes> find_rnn(const Target& target, const Rnn& rnn, std::string& why) {
  for (const std::int64_t size : {rnn.batch, rnn.steps, rnn.input, rnn.units, rnn.batch * rnn.units}) {
    if (size <= 0 || size > std::numeric_limits<std::int32_t>::max()) {
      why = size <= 0 ? "empty" : "larger than cuDNN's RNN can count";
      return std::nullopt;
    }
  }
  static std::mutex guard;
  static std::map<std::vector<std::int64_t>, Answer> answers;  // plain numbers: nothing of the library's
  const std::vector<std::int64_t> key{target.ordinal, static_cast<int>(rnn.cell),
                                      rnn.batch,      rnn.steps,
                                      rnn.input,      rnn.units,
                                      rnn.bias,       rnn.tf32,
                                      rnn.training};
  const std::scoped_lock lock(guard);
  auto found = answers.find(key);
  if (found == answers.end()) found = answers.emplace(key, ask(target, rnn)).first;
  why = found->second.why;
  return found->second.sizes;
}

struct RnnPlan::State {
  cudnnHandle_t handle;
  Rnn rnn;
  Description description;
  RnnSizes sizes;
  const std::int32_t* lengths;
  RnnWeights weights;
};

std::optional<RnnPlan> RnnPlan::bind(cudnnContext* handle, const Rnn& rnn, const RnnSizes& booked,
                                     const std::int32_t* lengths, float* weights, std::string& why) {
  kernels::require(lengths != nullptr && weights != nullptr, "rnn: lengths or weights are missing");
  // A call that fails is an error, not an answer: forward and backward must come to the same one.
  auto state = std::make_shared<State>(State{handle, rnn, Description(handle, rnn), {}, lengths, {}});
  state->sizes = state->description.sizes(handle, rnn);
  const RnnSizes& needed = state->sizes;
  if (needed.weights > booked.weights || needed.workspace > booked.workspace ||
      needed.reserve > booked.reserve) {
    why = "cuDNN's RNN needs more memory than was planned for it";
    return std::nullopt;
  }
  if (!locate(handle, state->description, rnn, needed.weights, weights, state->weights)) {
    why = "cuDNN's RNN keeps its weights in a way that is not known here";
    return std::nullopt;
  }
  RnnPlan plan;
  plan.state_ = std::move(state);
  return plan;
}

const RnnWeights& RnnPlan::weights() const {
  return state_->weights;
}

void RnnPlan::clear_gaps(void* stream, float* weights) const {
  const RnnWeights& w = state_->weights;
  const std::int64_t biases = !state_->rnn.bias ? 0 : state_->rnn.cell == RnnCell::gru ? 2 : 1;
  const auto used =
      static_cast<std::size_t>(w.gates * w.units * (w.input + w.units + biases)) * sizeof(float);
  if (state_->sizes.weights > used)
    check(cudaMemsetAsync(weights, 0, state_->sizes.weights, static_cast<cudaStream_t>(stream)));
}

void RnnPlan::forward(void* stream, const RnnForward& f, void* workspace, void* reserve) const {
  const State& s = *state_;
  const Description& d = s.description;
  check(cudnnSetStream(s.handle, static_cast<cudaStream_t>(stream)));
  check(cudnnRNNForward(
      s.handle, d.network.get(), s.rnn.training ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE,
      s.lengths, d.x.get(), f.x, d.y.get(), f.y, d.state.get(), f.h0, f.h_last, d.state.get(), f.c0, f.c_last,
      s.sizes.weights, f.weights, s.sizes.workspace, workspace, s.sizes.reserve, reserve));
}

void RnnPlan::backward(void* stream, const RnnBackward& b, void* workspace, void* reserve) const {
  const State& s = *state_;
  const Description& d = s.description;
  check(cudnnSetStream(s.handle, static_cast<cudaStream_t>(stream)));
  check(cudnnRNNBackwardData_v8(s.handle, d.network.get(), s.lengths, d.y.get(), b.y, b.dy, d.x.get(), b.dx,
                                d.state.get(), b.h0, b.dh_last, b.dh0, d.state.get(), b.c0, b.dc_last, b.dc0,
                                s.sizes.weights, b.weights, s.sizes.workspace, workspace, s.sizes.reserve,
                                reserve));
  // It only adds.
  check(cudaMemsetAsync(b.dweights, 0, s.sizes.weights, static_cast<cudaStream_t>(stream)));
  check(cudnnRNNBackwardWeights_v8(s.handle, d.network.get(), CUDNN_WGRAD_MODE_ADD, s.lengths, d.x.get(), b.x,
                                   d.state.get(), b.h0, d.y.get(), b.y, s.sizes.weights, b.dweights,
                                   s.sizes.workspace, workspace, s.sizes.reserve, reserve));
}

}  // namespace gpunn::cuda
