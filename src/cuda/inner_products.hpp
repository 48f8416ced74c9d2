// Nodes of several kernels: their scratch, and the products of matrices among them, each by cuBLASLt or our
// own kernel as any product of a plan.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/gemm.hpp"
#include "kernels/reduce.hpp"
#include "src/cuda/product.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {

// A part of a node's scratch.
struct ScratchPart {
  std::size_t offset = 0;
  float* of(const Launch& l) const {
    return reinterpret_cast<float*>(static_cast<std::byte*>(l.scratch) + offset);
  }
};

struct InnerProduct {
  LtGemm gemm;                                             // bias: added to the product
  std::function<LtPointers(const Launch& node)> operands;  // `bias`: what is added, or where sums go
  std::int64_t bias_offset = 0;                            // of `bias` in an input or output of the node
  int times = 1;                                           // in a run of the node
  bool sums = false;  // of the layout tn: also the sums over k of b's columns, to `bias`
  kernels::Accumulate sums_mode = kernels::Accumulate::overwrite;
};

// Buffers first, then the workspace that the products share: all buffers are asked for before the first
// product.
class InnerProducts {
 public:
  explicit InnerProducts(const Target& target) : target_(target) {}

  ScratchPart buffer(std::int64_t floats) {
    constexpr std::size_t kAlignment = 256;
    const ScratchPart part{buffers_};
    buffers_ += (static_cast<std::size_t>(floats) * sizeof(float) + kAlignment - 1) / kAlignment * kAlignment;
    return part;
  }
  std::size_t add(InnerProduct product);

  // What the node's closures keep.
  struct Bound {
    std::size_t workspace_at = 0;
    std::vector<Implementation> products;
    std::vector<int> times;
    void run(std::size_t product, Launch node) const {
      node.scratch = static_cast<std::byte*>(node.scratch) + workspace_at;
      products[product].run(node);
    }
  };
  std::shared_ptr<const Bound> bound() const {
    return std::make_shared<const Bound>(Bound{buffers_, products_, times_});
  }
  std::size_t scratch() const;
  int launches(std::size_t product) const { return products_[product].launches; }
  std::string engines() const;  // "cublaslt", "own gemm", or both
  // Chooses the library's algorithms; Bound::why is `why` with the engines there are now, and its launches
  // are those of the node as it was planned, with what the products have more or fewer now.
  static std::function<Implementation::Bound(const Launch&)> prepare(std::shared_ptr<const Bound> bound,
                                                                     const std::string& why, int launches);

 private:
  const Target& target_;
  std::size_t buffers_ = 0;
  std::vector<Implementation> products_;
  std::vector<int> times_;
};

}  // namespace gpunn::cuda
