#include "src/cuda/product.hpp"

#include <algorithm>

namespace gpunn::cuda {
namespace {

// Fewer rows or columns than a pack of lanes: memory-bound, and tiles of the library would be mostly empty.
constexpr std::int64_t kNarrow = 8;

// NVIDIA's advice for cuBLAS. It is part of the plan's workspace, so small products do not ask for that much:
// with sums split in place the library keeps little more than counters there.
std::size_t workspace_limit(const Target& target, const kernels::Gemm& gemm) {
  if (flops(gemm) < kLaunchFlops) return std::size_t{256} << 10;
  return std::size_t{target.architecture >= 90 ? 32u : 4u} << 20;
}

}  // namespace

Product product_of(const Target& target, const kernels::Gemm& shape, bool column_sums) {
  Product product;
  product.gemm.shape = shape;
  product.gemm.tf32 = target.tf32, product.gemm.deterministic = target.deterministic;
  product.pointers = [](const Launch& l) { return LtPointers{l.in(0), l.in(1), l.out(0)}; };
  product.own.name = "own gemm";
  product.own.scratch =
      static_cast<std::size_t>(kernels::gemm_scratch_floats(shape.m, shape.n, shape.k, 1, column_sums)) *
      sizeof(float);
  product.own.launches = product.own.scratch > 0 ? 2 : 1;
  if (std::min({shape.m, shape.n, shape.k}) < kNarrow) product.own.why = "narrow: memory-bound";
  if (!target.libraries) product.own.why = "libraries are switched off";
  return product;
}

Implementation implement_product(const Target& target, Product product) {
  LibraryCall library;
  const std::string rounding = product.gemm.tf32 ? " (TF32)" : "";
  library.name = "cublaslt" + rounding;
  library.why = "algorithm chosen at bind";
  library.scratch = workspace_limit(target, product.gemm.shape);
  library.bind = [rounding, gemm = product.gemm, pointers = product.pointers, limit = library.scratch](
                     const Launch& l, Libraries& libraries) -> LibraryCall::Bound {
    std::string why;
    const auto plan = LtPlan::choose(libraries.cublaslt(), gemm, pointers(l), limit, why);
    if (!plan) return {{}, why, {}};
    return {"cublaslt algorithm " + std::to_string(plan->algorithm()) + rounding,
            "the first of its heuristic",
            [plan = *plan](const Launch& now) { plan.run(now.stream, now.scratch); }};
  };
  return library_or_own(std::move(library), std::move(product.after), std::move(product.own));
}

}  // namespace gpunn::cuda
