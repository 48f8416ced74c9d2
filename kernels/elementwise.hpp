// Arithmetic element by element: two operands broadcast by numpy's rules, its gradients, scaling, and chains
// of steps in one pass.
#pragma once

#include <span>

#include "kernels/activation.hpp"
#include "kernels/gpu.hpp"
#include "kernels/reduce_shape.hpp"

namespace gpunn::kernels {

enum class Binary : std::uint8_t { add, subtract, multiply, divide, maximum, minimum };

// Where the elements of both operands lie for element i of the result; an axis that is broadcast has stride
// 0. Axes are joined where both operands allow it.
struct BroadcastShape {
  int rank = 0;
  std::int64_t count = 1;
  std::int64_t extents[kMaxRank] = {};
  std::int64_t a_strides[kMaxRank] = {};
  std::int64_t b_strides[kMaxRank] = {};
  bool same = true;  // both operands have the result's shape
};
// Extents of a and b, outermost first; shorter ones are filled up with 1 in front. REQUIRES: broadcastable.
constexpr BroadcastShape broadcast_shape(std::span<const std::int64_t> a, std::span<const std::int64_t> b);

// y = a op b. NaN of either operand wins in maximum and minimum. y may be a or b where that operand is not
// broadcast.
void binary(Gpu gpu, Binary kind, const BroadcastShape& shape, const float* a, const float* b, float* y);
// d[i] (shape of y) = dy[i] * the derivative for operand 0 (a) or 1 (b); of maximum and minimum dy goes to
// the operand that won, half of it to each on a tie or where either is NaN. Sum it over the broadcast axes
// with reduce_sum.
void binary_backward(Gpu gpu, Binary kind, int operand, const BroadcastShape& shape, const float* dy,
                     const float* a, const float* b, float* d);

// y[i] (+)= x[i] * scale + offset.
struct Affine {
  float scale = 1;
  float offset = 0;
};
void affine(Gpu gpu, const Affine& by, Accumulate mode, std::int64_t n, const float* x, float* y);
void affine(Gpu gpu, const Affine& by, Accumulate mode, std::int64_t n, const std::uint8_t* x, float* y);
void fill(Gpu gpu, std::int64_t n, float value, float* y);

// A chain of elementwise steps on one value, in one pass over memory.
enum class ChainOp : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  maximum,
  minimum,  // v op operand, as Binary
  affine,   // v * scale + offset
  relu,
  sigmoid,
  tanh,
  gelu,  // act(v)
  relu_slope,
  sigmoid_slope,
  tanh_slope,
  gelu_slope,  // v * act'(operand): of the output; of the input for gelu
};
constexpr ChainOp chain_op(Binary kind) {
  return static_cast<ChainOp>(kind);
}
static_assert(chain_op(Binary::minimum) == ChainOp::minimum);

struct ChainStep {
  ChainOp op = ChainOp::affine;
  float scale = 1;
  float offset = 0;
  // The operand of element i is operand[i % period]: n of the whole tensor, fewer of what repeats.
  const float* operand = nullptr;
  std::int64_t period = 1;
};
inline constexpr int kMaxChain = 8;
// y[i] (+)= the steps applied to x[i]. REQUIRES: at most kMaxChain steps. y may be x or a whole operand
// (overwrite).
void chain(Gpu gpu, std::span<const ChainStep> steps, Accumulate mode, std::int64_t n, const float* x,
           float* y);

constexpr BroadcastShape broadcast_shape(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  BroadcastShape shape;
  const int a_rank = static_cast<int>(a.size()), b_rank = static_cast<int>(b.size());
  const int rank = a_rank > b_rank ? a_rank : b_rank;
  std::int64_t a_stride = 1, b_stride = 1;
  bool joinable = false, a_last = false,
       b_last = false;               // whether the axis before was broadcast, per operand
  for (int k = 1; k <= rank; ++k) {  // from the innermost axis
    const std::int64_t in_a = k <= a_rank ? a[static_cast<std::size_t>(a_rank - k)] : 1;
    const std::int64_t in_b = k <= b_rank ? b[static_cast<std::size_t>(b_rank - k)] : 1;
    const std::int64_t extent = in_a == 1 ? in_b : in_a;
    shape.count *= extent;
    if (extent != 1) {
      const bool a_wide = in_a == 1, b_wide = in_b == 1;
      if (a_wide || b_wide) shape.same = false;
      if (joinable && a_wide == a_last && b_wide == b_last) {
        shape.extents[shape.rank - 1] *= extent;
      } else {
        shape.extents[shape.rank] = extent;
        shape.a_strides[shape.rank] = a_wide ? 0 : a_stride;
        shape.b_strides[shape.rank] = b_wide ? 0 : b_stride;
        ++shape.rank;
      }
      joinable = true, a_last = a_wide, b_last = b_wide;
    }
    a_stride *= in_a, b_stride *= in_b;
  }
  return shape;  // loops innermost first
}

}  // namespace gpunn::kernels
