// The stand-in for cuDNN's graph interface: descriptors as bags of attributes, and what they mean once
// finalized.
#pragma once

#include <cudnn.h>

#include <map>
#include <memory>

#include "library_call.hpp"

struct cudnnContext {
  int device = 0;
  cudaStream_t stream = nullptr;
  simt::library::Branch branch = {};
  bool ran_rnn = false;  // its first call has been, which loads code
};

namespace simt::cudnn {

struct Engine {
  std::int64_t number;
  bool unordered = false;    // adds in the order in which parts of a sum happen to be ready
  bool tensor_core = false;  // rounds to TF32
  bool winograd = false;     // rounds in its own way
  bool runs = true;
  bool workspace = false;
};

struct Tensor {
  std::int64_t id = 0, alignment = 1;
  std::int64_t dims[4] = {}, strides[4] = {};  // N C H W, or K C R S
  bool is_virtual = false;

  std::size_t bytes() const {
    std::int64_t last = 0;
    for (int i = 0; i < 4; ++i) last += (dims[i] - 1) * strides[i];
    return static_cast<std::size_t>(last + 1) * sizeof(float);
  }
  std::int64_t at(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) const {
    return a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3];
  }
};

enum class Pass { forward, data, filter };

// What a graph computes: a convolution, then perhaps a bias and a relu.
struct Problem {
  Pass pass = Pass::forward;
  Tensor x, w, y,
      bias;  // y: of the convolution, as far as its shape goes; of the graph, as far as memory goes
  bool has_bias = false, relu = false, keeps_nan = false;
  std::int64_t before[2] = {}, stride[2] = {}, dilation[2] = {}, groups = 1;
  float alpha = 1, beta = 0;

  const Tensor& result() const { return pass == Pass::forward ? y : pass == Pass::data ? x : w; }
};

struct Object;
using Ref = std::shared_ptr<Object>;
struct Object {
  cudnnBackendDescriptorType_t type{};
  bool finalized = false;
  std::map<int, std::vector<unsigned char>> values;
  std::map<int, std::vector<Ref>> objects;
  // Known once it is finalized, or was handed out by the library.
  Engine engine{};
  Ref graph;
  std::shared_ptr<Problem> problem;
  std::vector<Engine> results;
  std::size_t workspace = 0;

  bool has(int name) const { return values.count(name) != 0 || objects.count(name) != 0; }
  template <class T>
  T value(int name, T fallback = {}) const {
    const auto it = values.find(name);
    if (it == values.end()) return fallback;
    T result;
    __builtin_memcpy(&result, it->second.data(), sizeof result);
    return result;
  }
  template <class T>
  std::vector<T> list(int name) const {
    const auto it = values.find(name);
    if (it == values.end()) return {};
    std::vector<T> result(it->second.size() / sizeof(T));
    __builtin_memcpy(result.data(), it->second.data(), it->second.size());
    return result;
  }
  Ref object(int name) const {
    const auto it = objects.find(name);
    return it == objects.end() || it->second.empty() ? nullptr : it->second[0];
  }
};

inline constexpr library::Codes<cudnnStatus_t> kCodes{
    CUDNN_STATUS_EXECUTION_FAILED, CUDNN_STATUS_ALLOC_FAILED, CUDNN_STATUS_NOT_INITIALIZED};

Object* find(cudnnBackendDescriptor_t raw);  // null: not alive
bool known(cudnnHandle_t handle);
// Checks what the attributes say together and fills in what they mean. A reason, or nothing.
std::string complete(Object& object);
std::string& last_error();
Heuristic answer();

// Runs on the device, in an order that is the engine's own.
void compute(const Problem& problem, const Engine& engine, const std::map<std::int64_t, void*>& pointers);

}  // namespace simt::cudnn
