// Handles, descriptors, attributes; execution.
#include <algorithm>
#include <cstring>
#include <set>

#include "cudnn.hpp"

namespace simt::cudnn {
namespace {

std::map<cudnnBackendDescriptor_t, Ref> alive;
std::set<cudnnHandle_t> handles;
std::string reason;
std::size_t version = 0;

// The attributes that are known here: whose, of which type, how many (0: any number).
struct Known {
  int name;
  cudnnBackendDescriptorType_t of;
  cudnnBackendAttributeType_t type;
  std::int64_t count;
};
constexpr auto kObject = CUDNN_TYPE_BACKEND_DESCRIPTOR;
constexpr Known kKnown[] = {
    {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_TYPE_INT64, 1},
    {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_TYPE_DATA_TYPE, 1},
    {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_TYPE_INT64, 4},
    {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_TYPE_INT64, 4},
    {CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_TYPE_INT64, 1},
    {CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_TYPE_BOOLEAN, 1},
    {CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_TYPE_DATA_TYPE, 1},
    {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_TYPE_CONVOLUTION_MODE, 1},
    {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_TYPE_INT64, 1},
    {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_TYPE_INT64, 2},
    {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_TYPE_INT64, 2},
    {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_TYPE_INT64, 2},
    {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_TYPE_INT64, 2},
    {CUDNN_ATTR_POINTWISE_MODE, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_TYPE_POINTWISE_MODE, 1},
    {CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_TYPE_DATA_TYPE, 1},
    {CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_TYPE_NAN_PROPOGATION, 1},
    {CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, kObject, 1},
    {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, kObject, 1},
    {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, kObject, 1},
    {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, kObject, 1},
    {CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, kObject, 0},
    {CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_TYPE_HANDLE, 1},
    {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_TYPE_HEUR_MODE, 1},
    {CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, kObject, 1},
    {CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, kObject, 1},
    {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, kObject, 1},
    {CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, kObject, 1},
    {400, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_TYPE_HANDLE, 1},  // CUDNN_ATTR_EXECUTION_PLAN_HANDLE
    {CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, CUDNN_TYPE_CHAR, 0},
    {CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_TYPE_INT64, 0},
    {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_TYPE_VOID_PTR, 0},
    {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_TYPE_VOID_PTR, 1},
};

// The three passes have the same six attributes under names of their own.
const Known* find_known(int name) {
  static const std::vector<Known> all = [] {
    std::vector<Known> list(std::begin(kKnown), std::end(kKnown));
    const auto operation = [&](cudnnBackendDescriptorType_t of, std::initializer_list<int> numbers,
                               std::initializer_list<int> others) {
      for (const int number : numbers) list.push_back({number, of, CUDNN_TYPE_FLOAT, 1});
      for (const int other : others) list.push_back({other, of, kObject, 1});
    };
    operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
              {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
               CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y});
    operation(
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY});
    operation(
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY});
    return list;
  }();
  for (const Known& k : all) {
    if (k.name == name) return &k;
  }
  return nullptr;
}

std::size_t size_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
      return 1;
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    default:
      return 4;  // enumerators and floats
  }
}

cudnnStatus_t bad(const char* call, const std::string& what, cudnnStatus_t status = CUDNN_STATUS_BAD_PARAM) {
  reason = what;
  library::refuse(call, what);
  return status;
}

// Hands out objects of the library's through descriptors that the caller has made.
cudnnStatus_t hand_out(const char* call, cudnnBackendDescriptorType_t type, std::int64_t asked,
                       std::int64_t* count, void* array, std::size_t available,
                       const std::function<void(Object&, std::size_t)>& fill) {
  if (asked == 0 || array == nullptr) {
    *count = static_cast<std::int64_t>(available);
    return CUDNN_STATUS_SUCCESS;
  }
  *count = std::min(asked, static_cast<std::int64_t>(available));
  auto* raw = static_cast<cudnnBackendDescriptor_t*>(array);
  for (std::int64_t i = 0; i < *count; ++i) {
    Object* object = find(raw[i]);
    if (object == nullptr || object->type != type)
      return bad(call, "a place for a result is of another type");
    fill(*object, static_cast<std::size_t>(i));
    object->finalized = true;
  }
  return CUDNN_STATUS_SUCCESS;
}

template <class T>
cudnnStatus_t give(const std::vector<T>& values, std::int64_t asked, std::int64_t* count, void* array) {
  *count = static_cast<std::int64_t>(values.size());
  if (asked == 0 || array == nullptr) return CUDNN_STATUS_SUCCESS;
  *count = std::min(*count, asked);
  std::memcpy(array, values.data(), static_cast<std::size_t>(*count) * sizeof(T));
  return CUDNN_STATUS_SUCCESS;
}

std::vector<cudnnBackendNumericalNote_t> notes_of(const Engine& engine) {
  std::vector<cudnnBackendNumericalNote_t> notes;
  if (engine.unordered) notes.push_back(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
  if (engine.tensor_core) notes.push_back(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
  if (engine.winograd) notes.push_back(CUDNN_NUMERICAL_NOTE_WINOGRAD);
  return notes;
}

}  // namespace

Object* find(cudnnBackendDescriptor_t raw) {
  const auto it = alive.find(raw);
  return it == alive.end() ? nullptr : it->second.get();
}
bool known(cudnnHandle_t handle) {
  return handles.count(handle) != 0;
}
std::string& last_error() {
  return reason;
}

}  // namespace simt::cudnn

namespace simt {

void set_cudnn_version(std::size_t value) {
  cudnn::version = value;
}

}  // namespace simt

using namespace simt;
using namespace simt::cudnn;
using library::enter;

extern "C" {

std::size_t cudnnGetVersion() {
  return version == 0 ? CUDNN_VERSION : version;
}
const char* cudnnGetErrorString(cudnnStatus_t status) {
  switch (status) {
    case CUDNN_STATUS_SUCCESS:
      return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM:
      return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_ALLOC_FAILED:
      return "CUDNN_STATUS_ALLOC_FAILED";
    default:
      return "CUDNN_STATUS_EXECUTION_FAILED";
  }
}
void cudnnGetLastErrorString(char* message, std::size_t size) {
  if (size > 0) message[reason.copy(message, size - 1)] = '\0';
  reason.clear();
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  return enter("cudnnCreate", kCodes, library::On::device, [&] {
    if (library::capturing())
      return bad("cudnnCreate", "while a stream is captured", CUDNN_STATUS_NOT_INITIALIZED);
    *handle = new cudnnContext{.device = current_device()};
    handles.insert(*handle);
    library::count_object(1);
    return CUDNN_STATUS_SUCCESS;
  });
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  const std::lock_guard guard(runtime().lock);
  if (handles.erase(handle) == 0) return bad("cudnnDestroy", "destroys what is not alive");
  library::count_object(-1);
  delete handle;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  return enter("cudnnSetStream", kCodes, library::On::device, [&] {
    if (!known(handle)) return bad("cudnnSetStream", "the handle is not alive");
    if (resolve(stream) == nullptr) return bad("cudnnSetStream", "there is no such stream");
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* raw) {
  return enter("cudnnBackendCreateDescriptor", kCodes, library::On::host, [&] {
    auto object = std::make_shared<Object>();
    object->type = type;
    *raw = object.get();
    alive.emplace(*raw, std::move(object));
    library::count_object(1);
    return CUDNN_STATUS_SUCCESS;
  });
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t raw) {
  const std::lock_guard guard(runtime().lock);
  if (alive.erase(raw) == 0) return bad("cudnnBackendDestroyDescriptor", "destroys what is not alive");
  library::count_object(-1);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t raw, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t count,
                                       const void* values) {
  const char* call = "cudnnBackendSetAttribute";
  return enter(call, kCodes, library::On::host, [&] {
    Object* object = find(raw);
    if (object == nullptr) return bad(call, "the descriptor is not alive");
    if (object->finalized) return bad(call, "the descriptor is finalized already");
    const Known* known_name = find_known(name);
    if (known_name == nullptr) return bad(call, "attribute " + std::to_string(name) + " is unknown here");
    if (known_name->of != object->type) return bad(call, "this descriptor has no such attribute");
    if (known_name->type != type) return bad(call, "the attribute is of another type");
    if (count < 1 || values == nullptr || (known_name->count != 0 && known_name->count != count))
      return bad(call, "a wrong number of values");
    if (type != kObject) {
      const auto* bytes = static_cast<const unsigned char*>(values);
      object->values[name].assign(bytes, bytes + static_cast<std::size_t>(count) * size_of(type));
      return CUDNN_STATUS_SUCCESS;
    }
    std::vector<Ref> list;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto it = alive.find(static_cast<const cudnnBackendDescriptor_t*>(values)[i]);
      if (it == alive.end()) return bad(call, "a value is a descriptor that is not alive");
      if (!it->second->finalized) return bad(call, "a value is a descriptor that is not finalized");
      list.push_back(it->second);
    }
    object->objects[name] = std::move(list);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const raw, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t, std::int64_t asked, std::int64_t* count,
                                       void* array) {
  const char* call = "cudnnBackendGetAttribute";
  return enter(call, kCodes, library::On::host, [&] {
    const Object* object = find(raw);
    if (object == nullptr || !object->finalized) return bad(call, "the descriptor is not finalized");
    switch (name) {
      case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        return hand_out(
            call, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, asked, count, array, object->results.size(),
            [&](Object& to, std::size_t i) { to.engine = object->results[i], to.graph = object->graph; });
      case CUDNN_ATTR_ENGINECFG_ENGINE:
        return hand_out(call, CUDNN_BACKEND_ENGINE_DESCRIPTOR, asked, count, array, 1,
                        [&](Object& to, std::size_t) { to.engine = object->engine; });
      case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        return give(notes_of(object->engine), asked, count, array);
      case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
        return give(std::vector<std::int64_t>{object->engine.number}, asked, count, array);
      case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        return give(std::vector<std::int64_t>{static_cast<std::int64_t>(object->workspace)}, asked, count,
                    array);
      default:
        return bad(call, "attribute " + std::to_string(name) + " cannot be read here");
    }
  });
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t raw) {
  const char* call = "cudnnBackendFinalize";
  return enter(call, kCodes, library::On::host, [&] {
    Object* object = find(raw);
    if (object == nullptr) return bad(call, "the descriptor is not alive");
    if (object->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR && library::capturing())
      return bad(call, "a plan loads code: not while a stream is captured");
    if (const std::string what = complete(*object); !what.empty()) {
      // That an engine or a list of them is not to be had is an answer, not a mistake.
      if (what.rfind("not supported", 0) == 0) return reason = what, CUDNN_STATUS_NOT_SUPPORTED;
      return bad(call, what);
    }
    object->finalized = true;
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t raw_plan,
                                  cudnnBackendDescriptor_t raw_pack) {
  static const char* const call = "cudnnBackendExecute";
  return enter(call, kCodes, library::On::device, [&] {
    if (!known(handle)) return bad(call, "the handle is not alive");
    if (handle->device != current_device()) return bad(call, "the handle belongs to another device");
    const Object *plan = find(raw_plan), *pack = find(raw_pack);
    if (plan == nullptr || !plan->finalized || plan->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
      return bad(call, "there is no finalized plan");
    if (pack == nullptr || !pack->finalized || pack->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
      return bad(call, "there is no finalized variant pack");
    if (plan->value<cudnnHandle_t>(400) != handle)
      return bad(call, "the plan was made for a described device or with another handle");
    CUstream_st* stream = resolve(handle->stream);
    if (handle->stream == nullptr || handle->stream == cudaStreamLegacy || stream == nullptr)
      return bad(call, "on the legacy stream, or one that is gone");
    if (!handle->branch.enter(*stream))
      return bad(call, "the handle works on another branch of this capture");
    const Problem& problem = *plan->problem;
    const auto ids = pack->list<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const auto pointers = pack->list<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    std::map<std::int64_t, void*> memory;
    for (std::size_t i = 0; i < ids.size(); ++i) memory[ids[i]] = pointers[i];
    std::vector<library::Region> regions;
    std::vector<const Tensor*> tensors = {&problem.x, &problem.w, &problem.y};
    if (problem.has_bias) tensors.push_back(&problem.bias);
    for (const Tensor* tensor : tensors) {
      if (memory.count(tensor->id) == 0)
        return bad(call, "the variant pack lacks tensor " + std::to_string(tensor->id));
      regions.push_back(
          {"a tensor", memory[tensor->id], tensor->bytes(), static_cast<std::size_t>(tensor->alignment)});
    }
    if (memory.size() != tensors.size())
      return bad(call, "the variant pack names tensors that the graph lacks");
    void* workspace = pack->value<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    if (plan->workspace > 0 && workspace == nullptr) return bad(call, "the plan needs its workspace");
    regions.push_back({"the workspace", workspace, plan->workspace, 16});
    if (!library::usable(call, regions)) return CUDNN_STATUS_SUCCESS;
    const library::Region result{"the result", memory[problem.result().id], problem.result().bytes(), 1};
    for (const library::Region& region : regions) {
      if (region.data != result.data && region.bytes > 0 && library::overlap(region, result))
        return bad(call, std::string(region.name) + " overlaps the result");
    }
    const auto run = [problem, engine = plan->engine, memory, regions, workspace, bytes = plan->workspace] {
      if (!library::still_there(call, regions)) return;
      poison_bytes(workspace, bytes);  // whatever it held is gone
      compute(problem, engine, memory);
    };
    const cudaError_t queued = submit(stream, std::make_shared<FunctionWork>(cudaGraphNodeTypeKernel, run));
    return queued == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
  });
}

}  // extern "C"
