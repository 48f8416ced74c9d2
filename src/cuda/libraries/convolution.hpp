// Convolutions by cuDNN as the ops see them, without a header of cuDNN: a build without it has this too, and
// answers that there is none.
//
// Images NHWC, weights [height, width, in / groups, out] as kernels/conv2d_direct.hpp has them.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "gpunn/cuda.hpp"
#include "kernels/conv2d_direct.hpp"

struct cudnnContext;

namespace gpunn::cuda {

enum class ConvolutionPass : std::uint8_t { forward, backward_data, backward_weights };
enum class ConvolutionType : std::uint8_t {
  fp32,  // float operands, float arithmetic
  tf32,  // float operands, tensor cores allowed
  bf16,  // bfloat16 operands, float sums
};

struct Convolution {
  kernels::ConvGeometry geometry;
  ConvolutionPass pass = ConvolutionPass::forward;
  ConvolutionType type = ConvolutionType::fp32;
  bool bias = false;                                          // forward only, in the same launch
  bool relu = false;                                          // likewise, behind the bias
  kernels::Accumulate mode = kernels::Accumulate::overwrite;  // of the result; with bias or relu: overwrite
};

// Of the three, the one that the pass makes is written.
struct ConvolutionPointers {
  float* x = nullptr;
  float* w = nullptr;
  float* y = nullptr;
  float* bias = nullptr;
};

// What a plan needs to know of cuDNN's choice.
struct ConvolutionEngine {
  std::int64_t number = -1;
  std::size_t workspace = 0;
  std::string heuristic;  // which of cuDNN's lists it came from
  bool tf32 = false;
  bool deterministic = true;
};

// The engine that cuDNN chooses on a device like `target`, which need not be there. Nothing where there is
// none, and `why` says why. Asked once per process and convolution, then remembered.
std::optional<ConvolutionEngine> find_engine(const Target& target, const Convolution& convolution,
                                             std::string& why);

// A convolution with engine, pointers and workspace fixed.
class ConvolutionPlan {
 public:
  // The choice of find_engine made again for the device that is there, in `workspace_bytes` of `workspace` at
  // most.
  static std::optional<ConvolutionPlan> bind(cudnnContext* handle, const Convolution& convolution,
                                             const ConvolutionPointers& pointers, bool deterministic,
                                             void* workspace, std::size_t workspace_bytes, std::string& why);

  void run(void* stream) const;  // on the stream that it was bound for
  ConvolutionEngine engine() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // copied into the closures of a bound step
};

}  // namespace gpunn::cuda
