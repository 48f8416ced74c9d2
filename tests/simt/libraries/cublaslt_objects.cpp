// Handles, descriptors and their attributes.
#include <cstring>
#include <set>

#include "cublaslt.hpp"

namespace simt::cublaslt {
namespace {

std::set<const void*> alive;

struct Field {
  void* at = nullptr;
  std::size_t bytes = 0;
};
template <class T>
Field field(T& member) {
  return {&member, sizeof member};
}

Field find(Matmul& m, cublasLtMatmulDescAttributes_t name) {
  switch (name) {
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
      return field(m.pointer_mode);
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return field(m.transa);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return field(m.transb);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return field(m.epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return field(m.bias);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return field(m.aux);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return field(m.aux_ld);
    default:
      return {};
  }
}

Field find(Preference& p, cublasLtMatmulPreferenceAttributes_t name) {
  switch (name) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return field(p.workspace);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return field(p.reduction);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return field(p.alignment[0]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return field(p.alignment[1]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return field(p.alignment[2]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return field(p.alignment[3]);
    default:
      return {};
  }
}

template <class Raw, class Object>
cublasStatus_t create(const char* name, Raw* raw, Object object, library::On on = library::On::host) {
  return library::enter(name, kCodes, on, [&] {
    if (raw == nullptr) return library::refuse(name, "no place for the result"), CUBLAS_STATUS_INVALID_VALUE;
    if (on == library::On::device && library::capturing())
      return library::refuse(name, "while a stream is captured"), CUBLAS_STATUS_NOT_INITIALIZED;
    auto* made = new Object(object);
    alive.insert(made);
    library::count_object(1);
    *raw = reinterpret_cast<Raw>(made);
    return CUBLAS_STATUS_SUCCESS;
  });
}

// Never refused, as freeing memory is not.
template <class Object>
cublasStatus_t destroy(const char* name, void* raw) {
  const std::lock_guard guard(runtime().lock);
  if (alive.erase(raw) == 0) {
    library::refuse(name, "destroys what is not alive");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  library::count_object(-1);
  delete static_cast<Object*>(raw);
  return CUBLAS_STATUS_SUCCESS;
}

template <class Object, class Name>
cublasStatus_t set(const char* call, Object* object, Name name, const void* value, std::size_t bytes) {
  return library::enter(call, kCodes, library::On::host, [&] {
    if (!known(object))
      return library::refuse(call, "the descriptor is not alive"), CUBLAS_STATUS_INVALID_VALUE;
    const Field at = find(*object, name);
    if (at.at == nullptr)
      return library::refuse(call, "an attribute unknown here"), CUBLAS_STATUS_NOT_SUPPORTED;
    if (value == nullptr || bytes != at.bytes) {
      library::refuse(call, "attribute " + std::to_string(name) + " has " + std::to_string(at.bytes) +
                                " bytes, " + std::to_string(bytes) + " are given");
      return CUBLAS_STATUS_INVALID_VALUE;
    }
    std::memcpy(at.at, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  });
}

}  // namespace

bool known(const void* object) {
  return alive.count(object) != 0;
}

}  // namespace simt::cublaslt

using namespace simt::cublaslt;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  return create("cublasLtCreate", handle, cublasLtContext{simt::current_device()}, simt::library::On::device);
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  return destroy<cublasLtContext>("cublasLtDestroy", handle);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* raw, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t columns, std::int64_t ld) {
  const char* name = "cublasLtMatrixLayoutCreate";
  if (rows == 0 || columns == 0 || ld < static_cast<std::int64_t>(rows)) {
    const std::lock_guard guard(simt::runtime().lock);
    simt::library::refuse(name, "column-major: the leading dimension " + std::to_string(ld) +
                                    " must reach over the " + std::to_string(rows) + " rows");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  return create(name, raw,
                Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), ld});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t raw) {
  return destroy<Layout>("cublasLtMatrixLayoutDestroy", raw);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* raw, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  return create("cublasLtMatmulDescCreate", raw, Matmul{.compute = compute, .scale = scale});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t raw) {
  return destroy<Matmul>("cublasLtMatmulDescDestroy", raw);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t raw, cublasLtMatmulDescAttributes_t name,
                                              const void* value, std::size_t bytes) {
  return set("cublasLtMatmulDescSetAttribute", matmul(raw), name, value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* raw) {
  return create("cublasLtMatmulPreferenceCreate", raw, Preference{});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t raw) {
  return destroy<Preference>("cublasLtMatmulPreferenceDestroy", raw);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t raw,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void* value, std::size_t bytes) {
  return set("cublasLtMatmulPreferenceSetAttribute", preference(raw), name, value, bytes);
}

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
  }
}
const char* cublasLtGetStatusString(cublasStatus_t) {
  return "from the stand-in for cuBLASLt";
}

}  // extern "C"
