#include "src/cuda/libraries/cudnn_graph.hpp"

namespace gpunn::cuda {
namespace {

struct Notes {
  bool nondeterministic = false, tensor_core = false, winograd = false, reduced = false;
};

Notes notes_of(const Descriptor& engine) {
  cudnnBackendNumericalNote_t list[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  std::int64_t count = 0;
  Notes notes;
  if (cudnnBackendGetAttribute(engine.raw(), CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                               CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, list) != CUDNN_STATUS_SUCCESS) {
    return notes;
  }
  for (std::int64_t k = 0; k < count; ++k) {
    switch (list[k]) {
      case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
        notes.nondeterministic = true;
        break;
      case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
        notes.tensor_core = true;
        break;
      case CUDNN_NUMERICAL_NOTE_WINOGRAD:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13:
        notes.winograd = true;
        break;
      case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
      case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION:
        notes.reduced = true;
        break;
      default:
        break;
    }
  }
  return notes;
}

// Why no engine was left.
struct Refused {
  int nondeterministic = 0, reduced = 0, winograd = 0, unsupported = 0, workspace = 0;
  int total() const { return nondeterministic + reduced + winograd + unsupported + workspace; }
  std::string reason;  // cuDNN's last that it gave
  void note_reason() {
    if (std::string now = cudnn_reason(); !now.empty()) reason = std::move(now);
  }
};

std::vector<Descriptor> engine_configurations(const CudnnDevice& device, const Descriptor& graph,
                                              cudnnBackendHeurMode_t mode, Refused& refused) {
  std::vector<Descriptor> configurations;
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph).set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  device.describe_to_heuristics(heuristics);
  std::int64_t count = 0;
  if (!heuristics.try_finalize() ||
      cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                               0, &count, nullptr) != CUDNN_STATUS_SUCCESS) {
    refused.note_reason();
    return configurations;
  }
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t k = 0; k < count; ++k) {
    configurations.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    raw.push_back(configurations.back().raw());
  }
  std::int64_t written = 0;
  check(cudnnBackendGetAttribute(heuristics.raw(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                 CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &written, raw.data()));
  configurations.resize(static_cast<std::size_t>(written));
  return configurations;
}

// The plan of one configuration, if the rules allow it and cuDNN supports it.
bool try_plan(const CudnnDevice& device, const Descriptor& configuration, const EngineRules& rules,
              Refused& refused, EnginePlan& result) {
  Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t raw = engine.raw();
  std::int64_t count = 0;
  check(cudnnBackendGetAttribute(configuration.raw(), CUDNN_ATTR_ENGINECFG_ENGINE,
                                 CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &raw));
  const Notes notes = notes_of(engine);
  if (rules.deterministic && notes.nondeterministic) return ++refused.nondeterministic, false;
  if (!rules.tensor_cores && (notes.tensor_core || notes.reduced)) return ++refused.reduced, false;
  if (!rules.winograd && notes.winograd) return ++refused.winograd, false;

  Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
  device.describe_to_plan(plan);
  if (!plan.try_finalize()) {
    refused.note_reason();
    return ++refused.unsupported, false;
  }
  result.workspace = plan.get<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 0);
  if (result.workspace > rules.workspace) return ++refused.workspace, false;
  result.plan = std::move(plan);
  result.engine = engine.get<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, -1);
  result.tensor_cores = notes.tensor_core;
  result.deterministic = !notes.nondeterministic;
  return true;
}

}  // namespace

Descriptor::Descriptor(cudnnBackendDescriptorType_t type, SourceLocation at) {
  cudnnBackendDescriptor_t raw = nullptr;
  check(cudnnBackendCreateDescriptor(type, &raw), at);
  raw_.reset(raw);
}

// Descriptors are void pointers too, so the type alone does not tell the two apart.
Descriptor& Descriptor::set_pointers(cudnnBackendAttributeName_t name, const std::vector<void*>& pointers,
                                     SourceLocation at) {
  check(cudnnBackendSetAttribute(raw(), name, CUDNN_TYPE_VOID_PTR, static_cast<std::int64_t>(pointers.size()),
                                 pointers.data()),
        at);
  return *this;
}

Descriptor& Descriptor::finalize(SourceLocation at) {
  check(cudnnBackendFinalize(raw()), at);
  return *this;
}

bool Descriptor::try_finalize() {
  return cudnnBackendFinalize(raw()) == CUDNN_STATUS_SUCCESS;
}

CudnnDevice::CudnnDevice(std::string_view json) : properties_(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR) {
  properties_.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::vector<char>(json.begin(), json.end()))
      .finalize();
}

void CudnnDevice::describe_to_heuristics(Descriptor& heuristics) const {
  if (handle_ == nullptr) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, properties_);
}
void CudnnDevice::describe_to_plan(Descriptor& plan) const {
  if (handle_ == nullptr) {
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, properties_);
  } else {
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle_);
  }
}
void CudnnDevice::describe_to_graph(Descriptor& graph) const {
  if (handle_ != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle_);
}

EnginePlan plan_engine(const CudnnDevice& device, const std::vector<Descriptor>& operations,
                       const EngineRules& rules) {
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const Descriptor& operation : operations) raw.push_back(operation.raw());
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, raw);
  device.describe_to_graph(graph);
  graph.finalize();

  Refused refused;
  struct Mode {
    cudnnBackendHeurMode_t mode;
    const char* name;
  };
  for (const Mode mode : {Mode{CUDNN_HEUR_MODE_A, "A"}, Mode{CUDNN_HEUR_MODE_FALLBACK, "fallback"}}) {
    for (const Descriptor& configuration : engine_configurations(device, graph, mode.mode, refused)) {
      EnginePlan plan;
      plan.heuristic = mode.name;
      if (try_plan(device, configuration, rules, refused, plan)) return plan;
    }
  }
  if (refused.total() == 0 && refused.reason.empty())
    refused.reason = "its heuristics know none for this device and type";
  throw DeviceError("cuDNN has no engine: " + std::to_string(refused.nondeterministic) +
                    " not deterministic, " + std::to_string(refused.reduced) + " of reduced precision, " +
                    std::to_string(refused.winograd) + " Winograd, " + std::to_string(refused.workspace) +
                    " over the workspace limit, " + std::to_string(refused.unsupported) + " unsupported; " +
                    refused.reason);
}

Descriptor variant_pack(const std::vector<std::int64_t>& ids, const std::vector<void*>& pointers,
                        void* workspace) {
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids)
      .set_pointers(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
      .set_pointers(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, {workspace})
      .finalize();
  return pack;
}

void execute(cudnnHandle_t handle, cudaStream_t stream, const EnginePlan& plan, const Descriptor& pack) {
  check(cudnnSetStream(handle, stream));
  check(cudnnBackendExecute(handle, plan.plan.raw(), pack.raw()));
}

void check_cudnn_version() {
  const std::size_t loaded = cudnnGetVersion();
  if (loaded == CUDNN_VERSION) return;
  throw DeviceError("cuDNN " + std::to_string(loaded) + " is loaded, but libgpunn was built with " +
                    std::to_string(CUDNN_VERSION));
}

}  // namespace gpunn::cuda
