#include "src/cuda/product.hpp"

#include <algorithm>

#include "src/core/log.hpp"
#include "src/cuda/libraries/libraries.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

// NVIDIA's advice for cuBLAS. It is part of the plan's workspace, so small products do not ask for that much:
// with sums split in place the library keeps little more than counters there.
std::size_t workspace_limit(const Target& target, const kernels::Gemm& gemm) {
  if (flops(gemm) < kLaunchFlops) return std::size_t{256} << 10;
  return std::size_t{target.architecture >= 90 ? 32u : 4u} << 20;
}

}  // namespace

std::string why_own_gemm(const Target& target, const kernels::Gemm& gemm) {
  // Fewer rows or columns than a pack of lanes: memory-bound, and tiles of the library would be mostly empty.
  constexpr std::int64_t kNarrow = 8;
  if (!target.libraries) return "libraries are switched off";
  if (std::min({gemm.m, gemm.n, gemm.k}) < kNarrow) return "narrow: memory-bound";
  return {};
}

Implementation implement_product(const Target& target, Product product) {
  Implementation made;
  made.scratch = product.own_scratch;
  made.launches = product.own_launches;
  made.name = "own gemm";
  made.why = product.why_own;
  if (!product.why_own.empty()) {
    made.run = std::move(product.own);
    return made;
  }
  const std::size_t limit = workspace_limit(target, product.gemm.shape);
  made.name = "cublaslt";
  made.why = "algorithm chosen at bind";
  made.scratch = std::max({limit, product.own_scratch, product.after_scratch});
  made.launches = 1 + product.after_launches;
  // Shared by both closures; empty until bound, and for good where the library has no algorithm.
  const auto plan = std::make_shared<std::optional<LtPlan>>();
  made.prepare = [=](const Launch& l) -> Implementation::Bound {
    std::string why;
    auto* libraries = static_cast<Libraries*>(l.libraries);
    *plan = LtPlan::choose(libraries->cublaslt(), product.gemm, product.pointers(l), limit, why);
    if (*plan) return {"cublaslt algorithm " + std::to_string((*plan)->algorithm()), "its heuristic's first"};
    log_once("cublaslt: " + why, LogLevel::warning, "a product runs on our own kernel: " + why);
    return {"own gemm", why};
  };
  made.run = [=](const Launch& l) {
    if (!*plan) return product.own(l);
    (*plan)->run(l.stream, l.scratch);
    if (product.after) product.after(l);
  };
  return made;
}

}  // namespace gpunn::cuda
