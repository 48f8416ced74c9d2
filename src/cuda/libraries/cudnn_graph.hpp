// cuDNN's graph API (its C interface) behind one small builder. Header-only front ends of the same cost a
// minute and two gigabytes of compiler for each file that includes them.
#pragma once

#include "src/cuda/libraries/check_cudnn.hpp"
#include "src/cuda/libraries/handles.hpp"

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace gpunn::cuda {

using Cudnn = Handle<cudnnHandle_t, &cudnnDestroy>;

// The C type of an attribute value and cuDNN's name for it.
template <class T>
inline constexpr cudnnBackendAttributeType_t kCudnnType = CUDNN_TYPE_INT64;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<float> = CUDNN_TYPE_FLOAT;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<bool> = CUDNN_TYPE_BOOLEAN;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<char> = CUDNN_TYPE_CHAR;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<cudnnHandle_t> = CUDNN_TYPE_HANDLE;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<cudnnDataType_t> = CUDNN_TYPE_DATA_TYPE;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<cudnnConvolutionMode_t> = CUDNN_TYPE_CONVOLUTION_MODE;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<cudnnPointwiseMode_t> = CUDNN_TYPE_POINTWISE_MODE;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<cudnnNanPropagation_t> = CUDNN_TYPE_NAN_PROPOGATION;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<cudnnBackendHeurMode_t> = CUDNN_TYPE_HEUR_MODE;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<cudnnBackendNumericalNote_t> =
    CUDNN_TYPE_NUMERICAL_NOTE;
template <>
inline constexpr cudnnBackendAttributeType_t kCudnnType<cudnnBackendDescriptor_t> =
    CUDNN_TYPE_BACKEND_DESCRIPTOR;

// One object of cuDNN's graph: attributes are set, then finalize() checks them. Move-only.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(cudnnBackendDescriptorType_t type, SourceLocation at = SourceLocation::current());

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<T>& values,
                  SourceLocation at = SourceLocation::current()) {
    check(cudnnBackendSetAttribute(raw(), name, kCudnnType<T>, static_cast<std::int64_t>(values.size()),
                                   values.data()),
          at);
    return *this;
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, T value, SourceLocation at = SourceLocation::current()) {
    check(cudnnBackendSetAttribute(raw(), name, kCudnnType<T>, 1, &value), at);
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& other,
                  SourceLocation at = SourceLocation::current()) {
    return set(name, other.raw(), at);
  }
  Descriptor& set_pointers(cudnnBackendAttributeName_t name, const std::vector<void*>& pointers,
                           SourceLocation at = SourceLocation::current());
  Descriptor& finalize(SourceLocation at = SourceLocation::current());
  bool try_finalize();  // false: not supported, see cudnn_reason()

  // One value, or `fallback` where cuDNN has none.
  template <class T>
  T get(cudnnBackendAttributeName_t name, T fallback) const {
    std::int64_t count = 0;
    T value = fallback;
    const auto status = cudnnBackendGetAttribute(raw(), name, kCudnnType<T>, 1, &count, &value);
    return status == CUDNN_STATUS_SUCCESS && count == 1 ? value : fallback;
  }

  cudnnBackendDescriptor_t raw() const { return raw_.get(); }

 private:
  Handle<cudnnBackendDescriptor_t, &cudnnBackendDestroyDescriptor> raw_;
};

// A device as plans see it: a real one by its handle, or the description of one that is not there.
class CudnnDevice {
 public:
  explicit CudnnDevice(cudnnHandle_t handle) : handle_(handle) {}
  // `json`: what cuDNN itself writes for a device (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION). Throws
  // DeviceError.
  explicit CudnnDevice(std::string_view json);

  void describe_to_heuristics(Descriptor& heuristics) const;
  void describe_to_plan(Descriptor& plan) const;
  void describe_to_graph(Descriptor& graph) const;

 private:
  cudnnHandle_t handle_ = nullptr;
  Descriptor properties_;
};

// What may be chosen among the engines for a graph.
struct EngineRules {
  bool deterministic = true;                       // the same bits every time
  bool tensor_cores = false;                       // TF32 for float operands
  bool winograd = false;                           // float, but rounded in another way
  std::int64_t workspace = std::int64_t{1} << 62;  // bytes at most
};

struct EnginePlan {
  Descriptor plan;
  std::int64_t engine = -1;
  std::int64_t workspace = 0;
  bool tensor_cores = false;
  bool deterministic = true;
  const char* heuristic = "";  // which of cuDNN's lists it came from
};

// The first engine of heuristics A, then of the fallback list, that the rules allow and that supports the
// graph. Throws DeviceError with cuDNN's reason and how many engines each rule left out when there is none.
EnginePlan plan_engine(const CudnnDevice& device, const std::vector<Descriptor>& operations,
                       const EngineRules& rules);

// The pointers of an execution by the ids of their tensors. `workspace`: plan.workspace bytes.
Descriptor variant_pack(const std::vector<std::int64_t>& ids, const std::vector<void*>& pointers,
                        void* workspace);
// Queues it on `stream`. REQUIRES: the plan was made with the handle.
void execute(cudnnHandle_t handle, cudaStream_t stream, const EnginePlan& plan, const Descriptor& pack);

// Throws DeviceError naming both versions unless headers and library are the same release.
void check_cudnn_version();

}  // namespace gpunn::cuda
