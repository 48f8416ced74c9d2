#include "src/cuda/inner_products.hpp"

#include <set>

namespace gpunn::cuda {
namespace {

std::string joined(const std::set<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : " and ") + name;
  return all;
}

}  // namespace

std::size_t InnerProducts::add(InnerProduct inner) {
  const kernels::Gemm shape = inner.gemm.shape;
  const std::size_t workspace_at = buffers_;
  const auto operands = [workspace_at, of_node = inner.operands](Launch l) {
    l.scratch = static_cast<std::byte*>(l.scratch) - workspace_at;
    return of_node(l);
  };
  Product product = product_of(target_, shape, inner.sums);
  product.gemm = inner.gemm;
  const bool bias_aligned = inner.bias_offset % 4 == 0;  // to the 16 bytes that the library wants
  if (inner.gemm.bias && !bias_aligned && product.own.why.empty())
    product.own.why = "cublaslt wants a bias aligned to 16 bytes";
  product.gemm.tf32 = target_.tf32, product.gemm.deterministic = target_.deterministic;
  product.pointers = operands;
  product.own.run = [=](const Launch& l) {
    const LtPointers at = operands(l);
    kernels::ColumnSums sums;
    if (inner.sums) sums = {at.bias, inner.sums_mode};
    kernels::gemm(gpu_of(l), shape, at.a, at.b,
                  {.bias = inner.gemm.bias ? at.bias : nullptr, .mode = inner.gemm.mode}, at.y,
                  static_cast<float*>(l.scratch), sums);
  };
  if (inner.sums && bias_aligned && flops(shape) < kLaunchFlops &&
      inner.sums_mode == kernels::Accumulate::overwrite) {
    product.gemm.bias_gradient = true;
  } else if (inner.sums) {
    const auto rows = kernels::over_rows(shape.k, shape.n);
    const auto sum = [=](const Launch& l) {
      const LtPointers at = operands(l);
      kernels::reduce_sum(gpu_of(l), rows, inner.sums_mode, 1.0f, at.b, at.bias,
                          static_cast<float*>(l.scratch));
    };
    const auto scratch = static_cast<std::size_t>(kernels::reduce_scratch_floats(rows)) * sizeof(float);
    follow_with(flops(shape), "the sum of bias gradients", {sum, scratch > 0 ? 2 : 1, scratch}, product.after,
                product.own);
  }
  products_.push_back(implement_product(target_, std::move(product)));
  times_.push_back(inner.times);
  return products_.size() - 1;
}

std::size_t InnerProducts::scratch() const {
  std::size_t workspace = 0;
  for (const Implementation& product : products_) workspace = std::max(workspace, product.scratch);
  return buffers_ + workspace;
}

std::string InnerProducts::engines() const {
  std::set<std::string> names;
  for (const Implementation& product : products_) names.insert(product.name);
  return joined(names);
}

std::function<Implementation::Bound(const Launch&)> InnerProducts::prepare(std::shared_ptr<const Bound> bound,
                                                                           const std::string& why,
                                                                           int launches) {
  return [bound = std::move(bound), why, launches](const Launch& l) {
    Launch shifted = l;
    shifted.scratch = static_cast<std::byte*>(l.scratch) + bound->workspace_at;
    std::set<std::string> names;
    Implementation::Bound node;
    node.launches = launches;
    for (std::size_t i = 0; i < bound->products.size(); ++i) {
      const Implementation& product = bound->products[i];
      Implementation::Bound now;
      if (product.prepare) now = product.prepare(shifted);
      names.insert(now.name.empty() ? product.name : now.name);
      if (now.launches > 0) node.launches += bound->times[i] * (now.launches - product.launches);
      if (!now.fallback.empty()) node.fallback = std::move(now.fallback);
    }
    node.why = why + "; products by " + joined(names);
    return node;
  };
}

}  // namespace gpunn::cuda
