// Algorithms and the product itself. D (rows x columns, column-major) = epilogue(alpha op(A) op(B) + beta C).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cublaslt.hpp"

namespace simt::cublaslt {
namespace {

Heuristic answer = Heuristic::normal;

// What the library keeps in its opaque 64 bytes: which problem, and what the kernel counts on.
struct Algorithm {
  std::uint32_t magic;
  std::uint16_t id;
  std::uint16_t unordered;  // adds the parts of a sum in the order in which they happen to be ready
  std::uint64_t problem;
  std::uint64_t workspace;
  std::uint16_t alignment[4];
  std::uint16_t bias_alignment;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));
constexpr std::uint32_t kMagic = 0x51u << 24 | 0x4c74;
constexpr std::uint16_t kUnordered = 23, kWithWorkspace = 66, kPlain = 11;

struct Problem {
  const Matmul* matmul;
  const Layout *a, *b, *c, *d;

  std::int64_t m() const { return d->rows; }
  std::int64_t n() const { return d->columns; }
  std::int64_t k() const { return matmul->transa == CUBLAS_OP_N ? a->columns : a->rows; }
  bool has(std::uint32_t bit) const { return (matmul->epilogue & bit) != 0; }
  bool reads_bias() const { return has(CUBLASLT_EPILOGUE_BIAS); }
  bool writes_bias() const {
    return matmul->epilogue == CUBLASLT_EPILOGUE_DRELU_BGRAD ||
           matmul->epilogue == CUBLASLT_EPILOGUE_BGRADA || matmul->epilogue == CUBLASLT_EPILOGUE_BGRADB;
  }
  std::int64_t bias_length() const { return matmul->epilogue == CUBLASLT_EPILOGUE_BGRADB ? n() : m(); }
  bool writes_mask() const {
    return matmul->epilogue == CUBLASLT_EPILOGUE_RELU_AUX ||
           matmul->epilogue == CUBLASLT_EPILOGUE_RELU_AUX_BIAS;
  }
  bool reads_mask() const {
    return matmul->epilogue == CUBLASLT_EPILOGUE_DRELU || matmul->epilogue == CUBLASLT_EPILOGUE_DRELU_BGRAD;
  }
  std::uint64_t hash() const {
    std::uint64_t h = 1469598103934665603u;
    for (const std::int64_t v :
         {m(), n(), k(), a->ld, b->ld, c->ld, d->ld, static_cast<std::int64_t>(matmul->transa),
          static_cast<std::int64_t>(matmul->transb), static_cast<std::int64_t>(matmul->epilogue),
          static_cast<std::int64_t>(matmul->compute)}) {
      h = (h ^ static_cast<std::uint64_t>(v)) * 1099511628211u;
    }
    return h;
  }
};

bool supported(std::uint32_t epilogue) {
  switch (epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_RELU:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_RELU_BIAS:
    case CUBLASLT_EPILOGUE_RELU_AUX:
    case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DRELU:
    case CUBLASLT_EPILOGUE_DRELU_BGRAD:
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB:
      return true;
    default:
      return false;
  }
}

// What is wrong with a problem; empty: nothing.
std::string problem_of(cublasLtHandle_t handle, const Problem& p) {
  if (!known(handle)) return "the handle is not alive";
  if (handle->device != current_device()) return "the handle belongs to another device than the current one";
  for (const void* object :
       {static_cast<const void*>(p.matmul), static_cast<const void*>(p.a), static_cast<const void*>(p.b),
        static_cast<const void*>(p.c), static_cast<const void*>(p.d)}) {
    if (!known(object)) return "a descriptor is not alive";
  }
  for (const Layout* layout : {p.a, p.b, p.c, p.d}) {
    if (layout->type != CUDA_R_32F) return "only float matrices are known here";
  }
  if (p.matmul->scale != CUDA_R_32F) return "alpha and beta of float products are float";
  if (p.matmul->compute != CUBLAS_COMPUTE_32F && p.matmul->compute != CUBLAS_COMPUTE_32F_FAST_TF32)
    return "a type of arithmetic unknown here";
  if (p.matmul->pointer_mode != CUBLASLT_POINTER_MODE_HOST)
    return "alpha and beta on the device are unknown here";
  const bool ta = p.matmul->transa != CUBLAS_OP_N, tb = p.matmul->transb != CUBLAS_OP_N;
  const std::int64_t a_rows = ta ? p.a->columns : p.a->rows, b_rows = tb ? p.b->columns : p.b->rows;
  const std::int64_t b_columns = tb ? p.b->rows : p.b->columns;
  if (a_rows != p.m() || b_columns != p.n() || b_rows != p.k() || p.c->rows != p.m() ||
      p.c->columns != p.n()) {
    return "op(A) is " + std::to_string(a_rows) + " x " + std::to_string(p.k()) + ", op(B) " +
           std::to_string(b_rows) + " x " + std::to_string(b_columns) + ", D " + std::to_string(p.m()) +
           " x " + std::to_string(p.n()) + ": they do not fit";
  }
  if (p.reads_mask() || p.writes_mask()) {
    if (p.matmul->aux == nullptr) return "this epilogue needs its mask";
    if (p.matmul->aux_ld % 128 != 0 || p.matmul->aux_ld < p.m())
      return "the mask's leading dimension counts bits: a multiple of 128, at least the rows of D";
  }
  return {};
}

std::string text(const char* call, const std::string& what) {
  library::refuse(call, what);
  return what;
}

// ---- arithmetic ---------------------------------------------------------------------------------

// One product, everything frozen as the library freezes it at the call.
struct Product {
  std::int64_t m, n, k;
  Layout a, b, c, d;
  Matmul matmul;
  const float *left, *right, *old;
  float* result;
  float alpha, beta;
  bool reads_bias, writes_bias, writes_mask, reads_mask, bias_of_b, bias_of_a;
  Algorithm algorithm;
  float* workspace;

  float operand(const float* data, const Layout& l, bool transposed, std::int64_t row,
                std::int64_t column) const {
    float v = transposed ? data[column + row * l.ld] : data[row + column * l.ld];
    if (matmul.compute == CUBLAS_COMPUTE_32F_FAST_TF32) {  // 10 bits of mantissa
      std::uint32_t bits;
      std::memcpy(&bits, &v, sizeof v);
      bits = (bits + 0x1000u) & ~0x1fffu;
      std::memcpy(&v, &bits, sizeof v);
    }
    return v;
  }
  float left_at(std::int64_t i, std::int64_t p) const {
    return operand(left, a, matmul.transa != CUBLAS_OP_N, i, p);
  }
  float right_at(std::int64_t p, std::int64_t j) const {
    return operand(right, b, matmul.transb != CUBLAS_OP_N, p, j);
  }

  float sum(std::int64_t i, std::int64_t j) const {
    if (algorithm.unordered != 0 && k > 1) {  // in two parts, whichever is ready first
      const std::int64_t cut =
          1 + static_cast<std::int64_t>(runtime().random.below(static_cast<std::uint64_t>(k - 1)));
      float first = 0, second = 0;
      for (std::int64_t p = 0; p < cut; ++p) first += left_at(i, p) * right_at(p, j);
      for (std::int64_t p = cut; p < k; ++p) second += left_at(i, p) * right_at(p, j);
      return first + second;
    }
    float total = 0;
    for (std::int64_t p = 0; p < k; ++p) total += left_at(i, p) * right_at(p, j);
    return total;
  }

  float finished(std::int64_t i, std::int64_t j) const {
    float v = alpha * sum(i, j);
    if (beta != 0) v += beta * old[i + j * c.ld];
    if (reads_bias) v += static_cast<const float*>(matmul.bias)[i];
    auto* mask = static_cast<unsigned char*>(matmul.aux);
    const std::int64_t bit = i + j * matmul.aux_ld;
    if (writes_mask) {
      const auto one = static_cast<unsigned char>(1u << bit % 8);
      mask[bit / 8] = static_cast<unsigned char>(v > 0 ? mask[bit / 8] | one : mask[bit / 8] & ~one);
    }
    if (reads_mask && (mask[bit / 8] >> bit % 8 & 1) == 0) v = 0;
    const bool relu = (matmul.epilogue & CUBLASLT_EPILOGUE_RELU) != 0;
    return relu && !(v > 0) ? 0 : v;  // a NaN too: the library does not promise to keep it
  }

  void run() const {
    // Whatever the workspace held is gone.
    poison_bytes(workspace, algorithm.workspace);
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t i = 0; i < m; ++i) result[i + j * d.ld] = finished(i, j);
    }
    if (!writes_bias) return;
    auto* gradient = static_cast<float*>(matmul.bias);
    for (std::int64_t i = 0; i < (bias_of_b ? n : m); ++i) {
      float total = 0;
      const std::int64_t terms = bias_of_a || bias_of_b ? k : n;
      for (std::int64_t p = 0; p < terms; ++p)
        total += bias_of_a ? left_at(i, p) : bias_of_b ? right_at(p, i) : result[i + p * d.ld];
      gradient[i] = total;
    }
  }
};

std::size_t extent(const Layout& l) {
  return static_cast<std::size_t>((l.columns - 1) * l.ld + l.rows) * sizeof(float);
}

cublasLtMatmulHeuristicResult_t result(const Problem& p, const Preference& preference, std::uint16_t id,
                                       std::uint64_t workspace) {
  Algorithm made{kMagic, id, id == kUnordered, p.hash(), workspace, {}, 0};
  for (int i = 0; i < 4; ++i) made.alignment[i] = static_cast<std::uint16_t>(preference.alignment[i]);
  // A pointer that is not there yet counts as fully aligned.
  made.bias_alignment = static_cast<std::uint16_t>(library::alignment_of(p.matmul->bias));
  cublasLtMatmulHeuristicResult_t out{};
  std::memcpy(&out.algo, &made, sizeof made);
  out.workspaceSize = workspace;
  out.state = CUBLAS_STATUS_SUCCESS;
  out.wavesCount = 1;
  return out;
}

}  // namespace
}  // namespace simt::cublaslt

namespace simt {

void set_cublaslt_heuristic(Heuristic value) {
  cublaslt::answer = value;
}

}  // namespace simt

using namespace simt;
using namespace simt::cublaslt;

extern "C" {

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t raw_preference, int asked,
                                              cublasLtMatmulHeuristicResult_t results[], int* count) {
  const char* name = "cublasLtMatmulAlgoGetHeuristic";
  return library::enter(name, kCodes, library::On::device, [&] {
    const Problem p{matmul(operation), layout(a), layout(b), layout(c), layout(d)};
    if (const std::string what = problem_of(handle, p); !what.empty())
      return text(name, what), CUBLAS_STATUS_INVALID_VALUE;
    if (raw_preference == nullptr || asked < 1 || results == nullptr || count == nullptr)
      return text(name, "no preference, or no place for results"), CUBLAS_STATUS_INVALID_VALUE;
    *count = 0;
    if (answer == Heuristic::unsupported || !supported(p.matmul->epilogue))
      return CUBLAS_STATUS_NOT_SUPPORTED;
    if (answer == Heuristic::nothing) return CUBLAS_STATUS_SUCCESS;
    const Preference& preference = *cublaslt::preference(raw_preference);
    const auto add = [&](const cublasLtMatmulHeuristicResult_t& found) {
      if (*count < asked) results[(*count)++] = found;
    };
    // Success of the call does not mean that every result can be run.
    auto unusable = result(p, preference, kPlain, 0);
    unusable.state = CUBLAS_STATUS_NOT_SUPPORTED;
    add(unusable);
    if (answer == Heuristic::not_running) return CUBLAS_STATUS_SUCCESS;
    const std::uint64_t sums = (static_cast<std::uint64_t>(p.m() * p.n()) * sizeof(float) + 255) / 256 * 256;
    // The fastest first: not the same bits every time.
    constexpr std::uint32_t kOutOfOrder =
        CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
    if ((preference.reduction & kOutOfOrder) != 0) add(result(p, preference, kUnordered, 0));
    if (sums <= preference.workspace) add(result(p, preference, kWithWorkspace, sums));
    add(result(p, preference, kPlain, 0));
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t name, void* value,
                                                    std::size_t bytes, std::size_t* written) {
  return library::enter("cublasLtMatmulAlgoConfigGetAttribute", kCodes, library::On::host, [&] {
    if (name != CUBLASLT_ALGO_CONFIG_ID || bytes != sizeof(int) || value == nullptr)
      return CUBLAS_STATUS_INVALID_VALUE;
    Algorithm a;
    std::memcpy(&a, algo, sizeof a);
    const int id = a.id;
    std::memcpy(value, &id, sizeof id);
    if (written != nullptr) *written = sizeof id;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void* alpha,
                              const void* left, cublasLtMatrixLayout_t a, const void* right,
                              cublasLtMatrixLayout_t b, const void* beta, const void* old,
                              cublasLtMatrixLayout_t c, void* out, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, std::size_t workspace_bytes,
                              cudaStream_t raw_stream) {
  static const char* const name = "cublasLtMatmul";
  return library::enter(name, kCodes, library::On::device, [&] {
    const Problem p{matmul(operation), layout(a), layout(b), layout(c), layout(d)};
    const auto invalid = [&](const std::string& what) {
      return text(name, what), CUBLAS_STATUS_INVALID_VALUE;
    };
    if (const std::string what = problem_of(handle, p); !what.empty()) return invalid(what);
    CUstream_st* stream = resolve(raw_stream);
    if (stream == nullptr || stream->device != current_device())
      return invalid("a stream that does not belong to the current device");
    if (raw_stream == nullptr || raw_stream == cudaStreamLegacy)
      return invalid("on the legacy stream, which waits for everything");
    if (!handle->branch.enter(*stream)) return invalid("the handle works on another branch of this capture");
    if (alpha == nullptr || beta == nullptr) return invalid("no alpha or no beta");
    if (find_allocation(alpha) != nullptr || find_allocation(beta) != nullptr)
      return invalid("alpha and beta are read on the host, but lie on the device");
    if (algo == nullptr) return invalid("no algorithm: it would be looked up at every call");
    Product work{.m = p.m(),
                 .n = p.n(),
                 .k = p.k(),
                 .a = *p.a,
                 .b = *p.b,
                 .c = *p.c,
                 .d = *p.d,
                 .matmul = *p.matmul,
                 .left = static_cast<const float*>(left),
                 .right = static_cast<const float*>(right),
                 .old = static_cast<const float*>(old),
                 .result = static_cast<float*>(out),
                 .alpha = *static_cast<const float*>(alpha),
                 .beta = *static_cast<const float*>(beta),
                 .reads_bias = p.reads_bias(),
                 .writes_bias = p.writes_bias(),
                 .writes_mask = p.writes_mask(),
                 .reads_mask = p.reads_mask(),
                 .bias_of_b = p.matmul->epilogue == CUBLASLT_EPILOGUE_BGRADB,
                 .bias_of_a = p.matmul->epilogue == CUBLASLT_EPILOGUE_BGRADA,
                 .algorithm = {},
                 .workspace = static_cast<float*>(workspace)};
    std::memcpy(&work.algorithm, algo, sizeof work.algorithm);
    const Algorithm& chosen = work.algorithm;
    if (chosen.magic != kMagic || chosen.problem != p.hash())
      return invalid("the algorithm was chosen for another product");
    if (workspace_bytes < chosen.workspace || (chosen.workspace > 0 && workspace == nullptr))
      return invalid("the algorithm needs " + std::to_string(chosen.workspace) + " bytes of workspace, " +
                     std::to_string(workspace_bytes) + " are given");
    const bool reads_old = work.beta != 0;
    if (reads_old && old == nullptr) return invalid("beta is not 0, and there is no C");
    if (old == out && p.c->ld != p.d->ld) return invalid("C is D, but laid out otherwise");
    const bool uses_bias = work.reads_bias || work.writes_bias;
    if (uses_bias && p.matmul->bias == nullptr) return invalid("this epilogue needs its bias pointer");

    std::vector<library::Region> regions = {
        {"A", left, extent(*p.a), chosen.alignment[0]},
        {"B", right, extent(*p.b), chosen.alignment[1]},
        {"D", out, extent(*p.d), chosen.alignment[3]},
        {"the workspace", workspace, chosen.workspace, 256},
    };
    if (reads_old) regions.push_back({"C", old, extent(*p.c), chosen.alignment[2]});
    if (uses_bias) {
      // No preference speaks of it: kernels read it in packs of 16 bytes whatever the operands' alignment is.
      const auto bytes = static_cast<std::size_t>(p.bias_length()) * sizeof(float);
      regions.push_back(
          {"the bias", p.matmul->bias, bytes, std::max<std::size_t>(16, chosen.bias_alignment)});
    }
    if (work.writes_mask || work.reads_mask) {
      regions.push_back(
          {"the mask", p.matmul->aux, static_cast<std::size_t>(work.n * p.matmul->aux_ld / 8), 16});
    }
    if (!library::usable(name, regions)) return CUBLAS_STATUS_SUCCESS;
    const library::Region& result = regions[2];
    for (const library::Region& region : regions) {
      const bool in_place = &region == &result || (reads_old && region.data == old && old == out);
      if (!in_place && region.bytes > 0 && library::overlap(region, result))
        return invalid(std::string(region.name) + " overlaps D");
    }
    const auto run = [work, regions] {
      if (library::still_there(name, regions)) work.run();
    };
    const cudaError_t queued = submit(stream, std::make_shared<FunctionWork>(cudaGraphNodeTypeKernel, run));
    return queued == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
  });
}

}  // extern "C"
