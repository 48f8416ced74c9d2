// cuDNN's RNN: descriptors, sizes and calls, with the rules of the documentation.
#include "cudnn_rnn.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <set>

#include "cudnn.hpp"

namespace simt::cudnn {
namespace {

constexpr std::uint64_t kMagic = 0x4e4e52;  // of a reserve
std::size_t more_workspace = 0;

std::set<const void*> alive;

cudnnStatus_t bad(const char* call, const std::string& what) {
  last_error() = what;
  library::refuse(call, what);
  return CUDNN_STATUS_BAD_PARAM;
}

template <class T>
cudnnStatus_t create(const char* call, T** out) {
  return library::enter(call, kCodes, library::On::host, [&] {
    *out = new T;
    alive.insert(*out);
    library::count_object(1);
    return CUDNN_STATUS_SUCCESS;
  });
}
template <class T>
cudnnStatus_t destroy(const char* call, T* object) {
  const std::lock_guard guard(runtime().lock);
  if (alive.erase(object) == 0) return bad(call, "destroys what is not alive");
  library::count_object(-1);
  delete object;
  return CUDNN_STATUS_SUCCESS;
}
bool is_alive(const void* object) {
  return alive.count(object) != 0;
}

std::uint64_t mixed(std::uint64_t hash, const void* data, std::size_t bytes) {
  const auto* p = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i) hash = (hash ^ p[i]) * 1099511628211u;
  return hash;
}

// What is wrong with a network; empty: nothing.
std::string problem_of(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn) {
  if (!known(handle)) return "the handle is not alive";
  if (handle->device != current_device()) return "the handle belongs to another device";
  if (!is_alive(rnn) || !rnn->set) return "the network is not alive or not described";
  if (!is_alive(rnn->dropout) || !rnn->dropout->set)
    return "the dropout is gone: it must outlive the network";
  return {};
}

std::string problem_of(cudnnRNNDataDescriptor_t data, std::int64_t features) {
  if (!is_alive(data) || data->batch == 0) return "a data descriptor is not alive or not set";
  if (data->features != features) return "a sequence has another number of features than the network";
  return {};
}

std::size_t weight_bytes(const cudnnRNNStruct& rnn) {
  return static_cast<std::size_t>(rnn.weight_floats()) * sizeof(float);
}
std::size_t workspace_bytes(const cudnnRNNStruct& rnn, const cudnnRNNDataStruct& x) {
  return static_cast<std::size_t>(x.batch) * static_cast<std::size_t>(x.longest) *
             static_cast<std::size_t>(rnn.gates() * rnn.units) * sizeof(float) +
         more_workspace;
}

// Where the calls of a layer find what.
struct Spaces {
  std::size_t weight_bytes = 0;
  const void* weights = nullptr;
  std::size_t work_bytes = 0;
  void* work = nullptr;
  std::size_t reserve_bytes = 0;
  void* reserve = nullptr;
};

using Region = library::Region;

// Checks what the three calls have in common; then `fill` adds the memory of its own, read and written.
struct Operands {
  std::vector<Region> read, written;
  void reads(const char* name, const void* data, std::int64_t floats) {
    if (data != nullptr) read.push_back({name, data, static_cast<std::size_t>(floats) * sizeof(float), 4});
  }
  void writes(const char* name, void* data, std::int64_t floats) {
    if (data != nullptr) written.push_back({name, data, static_cast<std::size_t>(floats) * sizeof(float), 4});
  }
};

cudnnStatus_t submit_call(const char* name, cudnnHandle_t handle, cudnnRNNDescriptor_t rnn, bool training,
                          const std::int32_t* lengths, cudnnRNNDataDescriptor_t x, cudnnRNNDataDescriptor_t y,
                          cudnnTensorDescriptor_t state, const Spaces& spaces, Operands operands,
                          RnnCall call, const std::function<std::string(const RnnCall&)>& run) {
  if (const std::string what = problem_of(handle, rnn); !what.empty()) return bad(name, what);
  for (const auto& [data, features] : {std::pair{x, rnn->input}, std::pair{y, rnn->units}}) {
    if (const std::string what = problem_of(data, features); !what.empty()) return bad(name, what);
  }
  if (x->batch != y->batch || x->lengths != y->lengths) return bad(name, "x and y are of other sequences");
  const std::vector<int> dims{1, x->batch, static_cast<int>(rnn->units)};
  if (!is_alive(state) || state->dims != dims ||
      state->strides != std::vector<int>{dims[1] * dims[2], dims[2], 1})
    return bad(name, "a state is a packed tensor of layers, batch and units");
  for (const int length : x->lengths) {
    if (length != x->longest) return bad(name, "sequences of different lengths are unknown here");
  }
  if (spaces.weights == nullptr || spaces.weight_bytes < weight_bytes(*rnn))
    return bad(name, "the weight space is missing or too small");
  if (spaces.work == nullptr || spaces.work_bytes < workspace_bytes(*rnn, *x))
    return bad(name, "the workspace is missing or too small");
  call.rnn = *rnn, call.batch = x->batch, call.steps = x->longest;
  call.reserve = training ? spaces.reserve : nullptr;
  if (training && (spaces.reserve == nullptr || spaces.reserve_bytes < call.reserve_bytes()))
    return bad(name, "the reserve is missing or too small");
  CUstream_st* stream = resolve(handle->stream);
  if (handle->stream == nullptr || handle->stream == cudaStreamLegacy || stream == nullptr)
    return bad(name, "on the legacy stream, or one that is gone");
  // The first call of a handle loads code and sets up cuBLAS.
  if (stream->capture != nullptr && !handle->ran_rnn)
    return bad(name, "the first call of a handle allocates: not while a stream is captured");
  handle->ran_rnn = true;

  operands.written.push_back({"the workspace", spaces.work, spaces.work_bytes, 16});
  if (training) operands.written.push_back({"the reserve", spaces.reserve, spaces.reserve_bytes, 16});
  if (lengths != nullptr) {
    operands.read.push_back({"the lengths", lengths, x->lengths.size() * sizeof(std::int32_t), 4});
  }
  std::vector<Region> all = operands.read;
  all.insert(all.end(), operands.written.begin(), operands.written.end());
  if (!library::usable(name, all)) return CUDNN_STATUS_SUCCESS;
  for (std::size_t w = operands.read.size(); w < all.size(); ++w) {  // what is written
    for (std::size_t k = 0; k < all.size(); ++k) {
      if (k != w && library::overlap(all[w], all[k]))
        return bad(name, std::string(all[w].name) + " overlaps " + all[k].name);
    }
  }
  const auto work = [=, want = x->lengths] {
    if (!library::still_there(name, all)) return;
    if (lengths != nullptr && !std::equal(want.begin(), want.end(), lengths))
      return library::refuse(name, "the lengths on the device are others than in the descriptor");
    if (const std::string what = run(call); !what.empty()) return library::refuse(name, what);
    poison_bytes(spaces.work, spaces.work_bytes);  // whatever it held is gone
  };
  const cudaError_t queued = submit(stream, std::make_shared<FunctionWork>(cudaGraphNodeTypeKernel, work));
  return queued == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

// What must be the same from forward to the last call of backward.
std::uint64_t problem_hash(const RnnCall& c) {
  const std::int64_t numbers[] = {c.rnn.mode, c.rnn.bias, c.rnn.input, c.rnn.units, c.batch, c.steps};
  return mixed(1469598103934665603u, numbers, sizeof numbers);
}
std::uint64_t operand_hash(const RnnCall& c) {
  const auto floats = [](std::int64_t n) { return static_cast<std::size_t>(n) * sizeof(float); };
  std::uint64_t hash = mixed(1469598103934665603u, c.y, floats(c.batch * c.steps * c.rnn.units));
  if (c.hx != nullptr) hash = mixed(hash, c.hx, floats(c.batch * c.rnn.units));
  return hash;
}

std::string next_stage(const RnnCall& c, ReserveHead::Stage before, ReserveHead::Stage now) {
  auto* head = static_cast<ReserveHead*>(c.reserve);
  if (head->magic != kMagic || head->problem != problem_hash(c)) return "the reserve is not this layer's";
  if (head->stage == ReserveHead::kSpoilt) return "the reserve is not as forward left it";
  if (head->stage != before) {
    head->stage = ReserveHead::kSpoilt;
    return "the reserve is not as forward left it: forward, data, weights, once each";
  }
  if (head->operands != operand_hash(c)) {
    head->stage = ReserveHead::kSpoilt;
    return "y or hx is not what forward had";
  }
  head->stage = now;
  return {};
}

float* writable(const void* data) {
  return static_cast<float*>(const_cast<void*>(data));
}

}  // namespace
}  // namespace simt::cudnn

namespace simt {

void set_cudnn_rnn_workspace(std::size_t more) {
  cudnn::more_workspace = more;
}

}  // namespace simt

using namespace simt;
using namespace simt::cudnn;
using library::enter;

extern "C" {

cudnnStatus_t cudnnCreateDropoutDescriptor(cudnnDropoutDescriptor_t* out) {
  return create("cudnnCreateDropoutDescriptor", out);
}
cudnnStatus_t cudnnDestroyDropoutDescriptor(cudnnDropoutDescriptor_t raw) {
  return destroy("cudnnDestroyDropoutDescriptor", raw);
}
cudnnStatus_t cudnnSetDropoutDescriptor(cudnnDropoutDescriptor_t raw, cudnnHandle_t handle, float dropout,
                                        void* states, std::size_t bytes, unsigned long long) {
  const char* call = "cudnnSetDropoutDescriptor";
  return enter(call, kCodes, library::On::device, [&] {
    if (!is_alive(raw) || !known(handle)) return bad(call, "the descriptor or the handle is not alive");
    if (dropout != 0 || states != nullptr || bytes != 0) return bad(call, "dropout is unknown here");
    raw->set = true;
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* out) {
  return create("cudnnCreateTensorDescriptor", out);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t raw) {
  return destroy("cudnnDestroyTensorDescriptor", raw);
}
cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t raw, cudnnDataType_t type, int rank,
                                         const int dims[], const int strides[]) {
  const char* call = "cudnnSetTensorNdDescriptor";
  return enter(call, kCodes, library::On::host, [&] {
    if (!is_alive(raw) || type != CUDNN_DATA_FLOAT || rank < 3 || rank > CUDNN_DIM_MAX)
      return bad(call, "not alive, not float, or fewer than three axes");
    raw->dims.assign(dims, dims + rank), raw->strides.assign(strides, strides + rank);
    return CUDNN_STATUS_SUCCESS;
  });
}
cudnnStatus_t cudnnGetTensorNdDescriptor(const cudnnTensorDescriptor_t raw, int asked, cudnnDataType_t* type,
                                         int* rank, int dims[], int strides[]) {
  const char* call = "cudnnGetTensorNdDescriptor";
  return enter(call, kCodes, library::On::host, [&] {
    if (!is_alive(raw)) return bad(call, "the descriptor is not alive");
    *type = CUDNN_DATA_FLOAT, *rank = static_cast<int>(raw->dims.size());
    const auto count = std::min<std::size_t>(static_cast<std::size_t>(asked), raw->dims.size());
    std::copy_n(raw->dims.begin(), count, dims), std::copy_n(raw->strides.begin(), count, strides);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnCreateRNNDescriptor(cudnnRNNDescriptor_t* out) {
  return create("cudnnCreateRNNDescriptor", out);
}
cudnnStatus_t cudnnDestroyRNNDescriptor(cudnnRNNDescriptor_t raw) {
  return destroy("cudnnDestroyRNNDescriptor", raw);
}
cudnnStatus_t cudnnSetRNNDescriptor_v8(cudnnRNNDescriptor_t raw, cudnnRNNAlgo_t algo, cudnnRNNMode_t mode,
                                       cudnnRNNBiasMode_t bias, cudnnDirectionMode_t direction,
                                       cudnnRNNInputMode_t input_mode, cudnnDataType_t type,
                                       cudnnDataType_t precision, cudnnMathType_t math, std::int32_t input,
                                       std::int32_t units, std::int32_t projected, std::int32_t layers,
                                       cudnnDropoutDescriptor_t dropout, std::uint32_t flags) {
  const char* call = "cudnnSetRNNDescriptor_v8";
  return enter(call, kCodes, library::On::host, [&] {
    if (!is_alive(raw)) return bad(call, "the descriptor is not alive");
    if (answer() == Heuristic::unsupported) return CUDNN_STATUS_NOT_SUPPORTED;
    if (algo != CUDNN_RNN_ALGO_STANDARD || direction != CUDNN_UNIDIRECTIONAL ||
        input_mode != CUDNN_LINEAR_INPUT || layers != 1)
      return bad(call, "one layer, one direction and the standard algorithm are known here");
    if (type != CUDNN_DATA_FLOAT || precision != CUDNN_DATA_FLOAT)
      return bad(call, "only float is known here");
    if (math != CUDNN_FMA_MATH && math != CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION)
      return bad(call, "the default math rounds as it likes: say which");
    if (input < 1 || units < 1 || projected != units)
      return bad(call, "sizes are positive, without projection");
    if ((flags & CUDNN_RNN_PADDED_IO_ENABLED) == 0)
      return bad(call, "unpacked sequences need padded input and output");
    if (!is_alive(dropout) || !dropout->set) return bad(call, "the dropout is not set");
    *raw = {true, mode, bias, math == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION, input, units, dropout};
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnCreateRNNDataDescriptor(cudnnRNNDataDescriptor_t* out) {
  return create("cudnnCreateRNNDataDescriptor", out);
}
cudnnStatus_t cudnnDestroyRNNDataDescriptor(cudnnRNNDataDescriptor_t raw) {
  return destroy("cudnnDestroyRNNDataDescriptor", raw);
}
cudnnStatus_t cudnnSetRNNDataDescriptor(cudnnRNNDataDescriptor_t raw, cudnnDataType_t type,
                                        cudnnRNNDataLayout_t layout, int longest, int batch, int features,
                                        const int lengths[], void* padding) {
  const char* call = "cudnnSetRNNDataDescriptor";
  return enter(call, kCodes, library::On::host, [&] {
    if (!is_alive(raw)) return bad(call, "the descriptor is not alive");
    if (type != CUDNN_DATA_FLOAT || layout != CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED)
      return bad(call, "only float sequences, batch first, are known here");
    if (longest < 1 || batch < 1 || features < 1 || lengths == nullptr || padding == nullptr)
      return bad(call, "sizes are positive, lengths and padding are given");
    for (int row = 0; row < batch; ++row) {
      if (lengths[row] < 1 || lengths[row] > longest) return bad(call, "a length is not within the longest");
    }
    raw->longest = longest, raw->batch = batch, raw->features = features;
    raw->lengths.assign(lengths, lengths + batch);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnGetRNNWeightSpaceSize(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn, std::size_t* bytes) {
  const char* call = "cudnnGetRNNWeightSpaceSize";
  return enter(call, kCodes, library::On::device, [&] {
    if (const std::string what = problem_of(handle, rnn); !what.empty()) return bad(call, what);
    *bytes = weight_bytes(*rnn);
    return CUDNN_STATUS_SUCCESS;
  });
}
cudnnStatus_t cudnnGetRNNTempSpaceSizes(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn,
                                        cudnnForwardMode_t mode, cudnnRNNDataDescriptor_t x,
                                        std::size_t* workspace, std::size_t* reserve) {
  const char* call = "cudnnGetRNNTempSpaceSizes";
  return enter(call, kCodes, library::On::device, [&] {
    if (const std::string what = problem_of(handle, rnn); !what.empty()) return bad(call, what);
    if (const std::string what = problem_of(x, rnn->input); !what.empty()) return bad(call, what);
    RnnCall size;
    size.rnn = *rnn, size.batch = x->batch, size.steps = x->longest;
    *workspace = workspace_bytes(*rnn, *x);
    *reserve = mode == CUDNN_FWD_MODE_TRAINING ? size.reserve_bytes() : 0;
    return CUDNN_STATUS_SUCCESS;
  });
}
cudnnStatus_t cudnnGetRNNWeightParams(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn, std::int32_t layer,
                                      std::size_t bytes, const void* weights, std::int32_t part,
                                      cudnnTensorDescriptor_t matrix, void** matrix_at,
                                      cudnnTensorDescriptor_t bias, void** bias_at) {
  const char* call = "cudnnGetRNNWeightParams";
  return enter(call, kCodes, library::On::device, [&] {
    if (const std::string what = problem_of(handle, rnn); !what.empty()) return bad(call, what);
    if (layer != 0 || part < 0 || part >= 2 * rnn->gates()) return bad(call, "there is no such part");
    if (bytes < weight_bytes(*rnn)) return bad(call, "the weight space is too small");
    if (!is_alive(matrix) || !is_alive(bias)) return bad(call, "a descriptor is not alive");
    const int units = static_cast<int>(rnn->units), columns = static_cast<int>(rnn->columns(part));
    matrix->dims = {1, units, columns}, matrix->strides = {units * columns, columns, 1};
    *matrix_at = writable(weights) + rnn->matrix_at(part);
    *bias_at = nullptr;
    if (!rnn->has_bias(part)) return CUDNN_STATUS_SUCCESS;
    bias->dims = {1, units, 1}, bias->strides = {units, 1, 1};
    *bias_at = writable(weights) + rnn->bias_at(part);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnRNNForward(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn, cudnnForwardMode_t mode,
                              const std::int32_t lengths[], cudnnRNNDataDescriptor_t x_desc, const void* x,
                              cudnnRNNDataDescriptor_t y_desc, void* y, cudnnTensorDescriptor_t h_desc,
                              const void* hx, void* hy, cudnnTensorDescriptor_t, const void* cx, void* cy,
                              std::size_t weight_size, const void* weights, std::size_t work_size, void* work,
                              std::size_t reserve_size, void* reserve) {
  static const char* const name = "cudnnRNNForward";
  return enter(name, kCodes, library::On::device, [&] {
    if (x == nullptr || y == nullptr || !is_alive(rnn) || !is_alive(x_desc)) return bad(name, "no x or no y");
    const bool training = mode == CUDNN_FWD_MODE_TRAINING;
    const std::int64_t states = x_desc->batch * rnn->units,
                       places = std::int64_t{x_desc->batch} * x_desc->longest;
    Operands o;
    o.reads("x", x, places * rnn->input), o.reads("hx", hx, states), o.reads("cx", cx, states);
    o.reads("the weights", weights, rnn->weight_floats());
    o.writes("y", y, places * rnn->units), o.writes("hy", hy, states), o.writes("cy", cy, states);
    RnnCall call;
    call.x = writable(x), call.hx = writable(hx), call.cx = writable(cx), call.weights = writable(weights);
    call.y = writable(y), call.hy = writable(hy), call.cy = writable(cy);
    return submit_call(name, handle, rnn, training, lengths, x_desc, y_desc, h_desc,
                       {weight_size, weights, work_size, work, reserve_size, reserve}, std::move(o), call,
                       [](const RnnCall& c) -> std::string {
                         c.forward();
                         if (c.reserve == nullptr) return {};
                         *static_cast<ReserveHead*>(c.reserve) = {kMagic, problem_hash(c), operand_hash(c),
                                                                  ReserveHead::kForward};
                         return {};
                       });
  });
}

cudnnStatus_t cudnnRNNBackwardData_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn,
                                      const std::int32_t lengths[], cudnnRNNDataDescriptor_t y_desc,
                                      const void* y, const void* dy, cudnnRNNDataDescriptor_t x_desc,
                                      void* dx, cudnnTensorDescriptor_t h_desc, const void* hx,
                                      const void* dhy, void* dhx, cudnnTensorDescriptor_t, const void* cx,
                                      const void* dcy, void* dcx, std::size_t weight_size,
                                      const void* weights, std::size_t work_size, void* work,
                                      std::size_t reserve_size, void* reserve) {
  static const char* const name = "cudnnRNNBackwardData_v8";
  return enter(name, kCodes, library::On::device, [&] {
    if (y == nullptr || dy == nullptr || dx == nullptr || !is_alive(rnn) || !is_alive(x_desc))
      return bad(name, "y, dy and dx must be given");
    const std::int64_t states = x_desc->batch * rnn->units,
                       places = std::int64_t{x_desc->batch} * x_desc->longest;
    Operands o;
    o.reads("y", y, places * rnn->units), o.reads("dy", dy, places * rnn->units);
    for (const void* state : {hx, dhy, cx, dcy}) o.reads("a state", state, states);
    o.reads("the weights", weights, rnn->weight_floats());
    o.writes("dx", dx, places * rnn->input), o.writes("dhx", dhx, states), o.writes("dcx", dcx, states);
    RnnCall call;
    call.y = writable(y), call.dy = writable(dy), call.dx = writable(dx);
    call.hx = writable(hx), call.dhy = writable(dhy), call.dhx = writable(dhx);
    call.cx = writable(cx), call.dcy = writable(dcy), call.dcx = writable(dcx);
    call.weights = writable(weights);
    return submit_call(name, handle, rnn, true, lengths, x_desc, y_desc, h_desc,
                       {weight_size, weights, work_size, work, reserve_size, reserve}, std::move(o), call,
                       [](const RnnCall& c) {
                         const std::string what = next_stage(c, ReserveHead::kForward, ReserveHead::kData);
                         if (what.empty()) c.backward_data();
                         return what;
                       });
  });
}

cudnnStatus_t cudnnRNNBackwardWeights_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t rnn,
                                         cudnnWgradMode_t mode, const std::int32_t lengths[],
                                         cudnnRNNDataDescriptor_t x_desc, const void* x,
                                         cudnnTensorDescriptor_t h_desc, const void* hx,
                                         cudnnRNNDataDescriptor_t y_desc, const void* y,
                                         std::size_t weight_size, void* dweights, std::size_t work_size,
                                         void* work, std::size_t reserve_size, void* reserve) {
  static const char* const name = "cudnnRNNBackwardWeights_v8";
  return enter(name, kCodes, library::On::device, [&] {
    if (mode != CUDNN_WGRAD_MODE_ADD) return bad(name, "it only adds: zero the gradients first");
    if (x == nullptr || y == nullptr || !is_alive(rnn) || !is_alive(x_desc)) return bad(name, "no x or no y");
    const std::int64_t states = x_desc->batch * rnn->units,
                       places = std::int64_t{x_desc->batch} * x_desc->longest;
    Operands o;
    o.reads("x", x, places * rnn->input), o.reads("y", y, places * rnn->units), o.reads("hx", hx, states);
    o.writes("the gradients", dweights, rnn->weight_floats());
    RnnCall call;
    call.x = writable(x), call.y = writable(y), call.hx = writable(hx), call.dweights = writable(dweights);
    return submit_call(name, handle, rnn, true, lengths, x_desc, y_desc, h_desc,
                       {weight_size, dweights, work_size, work, reserve_size, reserve}, std::move(o), call,
                       [](const RnnCall& c) {
                         const std::string what = next_stage(c, ReserveHead::kData, ReserveHead::kWeights);
                         if (what.empty()) c.backward_weights();
                         return what;
                       });
  });
}

}  // extern "C"
