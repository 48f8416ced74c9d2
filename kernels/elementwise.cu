#include "kernels/elementwise.hpp"

#include <cmath>

#include "kernels/map.cuh"

namespace gpunn::kernels {
namespace {

struct Add {
  GPUNN_HD static float value(float a, float b) { return a + b; }
  GPUNN_HD static float slope(int, float, float) { return 1; }
};
struct Subtract {
  GPUNN_HD static float value(float a, float b) { return a - b; }
  GPUNN_HD static float slope(int operand, float, float) { return operand == 0 ? 1.0f : -1.0f; }
};
struct Multiply {
  GPUNN_HD static float value(float a, float b) { return a * b; }
  GPUNN_HD static float slope(int operand, float a, float b) { return operand == 0 ? b : a; }
};
struct Divide {
  GPUNN_HD static float value(float a, float b) { return a / b; }
  GPUNN_HD static float slope(int operand, float a, float b) { return operand == 0 ? 1 / b : -a / (b * b); }
};
struct Maximum {
  GPUNN_HD static float value(float a, float b) { return a > b || a != a ? a : b; }
  GPUNN_HD static float slope(int operand, float a, float b) {
    const float mine = operand == 0 ? a : b, other = operand == 0 ? b : a;
    return mine > other ? 1.0f : mine < other ? 0.0f : 0.5f;
  }
};
struct Minimum {
  GPUNN_HD static float value(float a, float b) { return a < b || a != a ? a : b; }
  GPUNN_HD static float slope(int operand, float a, float b) {
    const float mine = operand == 0 ? a : b, other = operand == 0 ? b : a;
    return mine < other ? 1.0f : mine > other ? 0.0f : 0.5f;
  }
};

template <class Use>
void with_binary(Binary kind, Use use) {
  switch (kind) {
    case Binary::add:
      return use(Add{});
    case Binary::subtract:
      return use(Subtract{});
    case Binary::multiply:
      return use(Multiply{});
    case Binary::divide:
      return use(Divide{});
    case Binary::maximum:
      return use(Maximum{});
    case Binary::minimum:
      return use(Minimum{});
  }
}

template <class Op>
struct Value {
  __device__ float operator()(float a, float b) const { return Op::value(a, b); }
};
template <class Op>
struct Slope {
  int operand;
  __device__ float operator()(float dy, float a, float b) const { return dy * Op::slope(operand, a, b); }
};

struct Offsets {
  std::int64_t a, b;
};
__device__ Offsets offsets(const BroadcastShape& shape, std::int64_t i) {
  Offsets at{0, 0};
  for (int k = 0; k < kMaxRank; ++k) {  // a constant number of rounds keeps the arrays in registers
    if (k >= shape.rank) break;
    const std::int64_t index = i % shape.extents[k];
    at.a += index * shape.a_strides[k];
    at.b += index * shape.b_strides[k];
    i /= shape.extents[k];
  }
  return at;
}

template <class Op>
struct BroadcastForward {
  BroadcastShape shape;
  const float* a;
  const float* b;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const Offsets at = offsets(shape, i);
    y[i] = Op::value(a[at.a], b[at.b]);
  }
};

template <class Op>
struct BroadcastBackward {
  BroadcastShape shape;
  int operand;
  const float* dy;
  const float* a;
  const float* b;
  float* d;
  __device__ void operator()(std::int64_t i) const {
    const Offsets at = offsets(shape, i);
    d[i] = dy[i] * Op::slope(operand, a[at.a], b[at.b]);
  }
};

template <class T>
struct Scale {
  Affine by;
  bool add;
  const T* x;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const float value = static_cast<float>(x[i]) * by.scale + by.offset;
    y[i] = add ? y[i] + value : value;
  }
};

struct Fill {
  float value;
  float* y;
  __device__ void operator()(std::int64_t i) const { y[i] = value; }
};

struct Chain {
  int length;
  ChainStep steps[kMaxChain];
  bool add;
  std::int64_t n;
  const float* x;
  float* y;

  __device__ float apply(const ChainStep& step, float v, std::int64_t i) const {
    float other = 0;
    if (step.operand != nullptr) other = step.operand[step.period == n ? i : i % step.period];
    switch (step.op) {  // the same for all threads: no divergence
      case ChainOp::add:
        return v + other;
      case ChainOp::subtract:
        return v - other;
      case ChainOp::multiply:
        return v * other;
      case ChainOp::divide:
        return v / other;
      case ChainOp::maximum:
        return Maximum::value(v, other);
      case ChainOp::minimum:
        return Minimum::value(v, other);
      case ChainOp::affine:
        return v * step.scale + step.offset;
      case ChainOp::relu:
        return Relu::value(v);
      case ChainOp::sigmoid:
        return Sigmoid::value(v);
      case ChainOp::tanh:
        return Tanh::value(v);
      case ChainOp::gelu:
        return Gelu::value(v);
      case ChainOp::relu_slope:
        return v * Relu::slope(other);
      case ChainOp::sigmoid_slope:
        return v * Sigmoid::slope(other);
      case ChainOp::tanh_slope:
        return v * Tanh::slope(other);
      case ChainOp::gelu_slope:
        return v * Gelu::slope(other);
    }
    return NAN;
  }
  __device__ void operator()(std::int64_t i) const {
    float v = x[i];
    for (int s = 0; s < length; ++s) v = apply(steps[s], v, i);
    y[i] = add ? y[i] + v : v;
  }
};

}  // namespace

void binary(Gpu gpu, Binary kind, const BroadcastShape& shape, const float* a, const float* b, float* y) {
  with_binary(kind, [&](auto op) {
    using Op = decltype(op);
    if (shape.same) return map(gpu, Accumulate::overwrite, shape.count, Value<Op>{}, y, a, b);
    for_each(gpu, shape.count, BroadcastForward<Op>{shape, a, b, y});
  });
}

void binary_backward(Gpu gpu, Binary kind, int operand, const BroadcastShape& shape, const float* dy,
                     const float* a, const float* b, float* d) {
  require(operand == 0 || operand == 1, "binary_backward: operand must be 0 or 1");
  with_binary(kind, [&](auto op) {
    using Op = decltype(op);
    if (shape.same) return map(gpu, Accumulate::overwrite, shape.count, Slope<Op>{operand}, d, dy, a, b);
    for_each(gpu, shape.count, BroadcastBackward<Op>{shape, operand, dy, a, b, d});
  });
}

void affine(Gpu gpu, const Affine& by, Accumulate mode, std::int64_t n, const float* x, float* y) {
  for_each(gpu, n, Scale<float>{by, mode == Accumulate::add, x, y});
}

void affine(Gpu gpu, const Affine& by, Accumulate mode, std::int64_t n, const std::uint8_t* x, float* y) {
  for_each(gpu, n, Scale<std::uint8_t>{by, mode == Accumulate::add, x, y});
}

void fill(Gpu gpu, std::int64_t n, float value, float* y) {
  for_each(gpu, n, Fill{value, y});
}

void chain(Gpu gpu, std::span<const ChainStep> steps, Accumulate mode, std::int64_t n, const float* x,
           float* y) {
  require(steps.size() <= kMaxChain, "chain: too many steps");
  Chain body{static_cast<int>(steps.size()), {}, mode == Accumulate::add, n, x, y};
  for (std::size_t k = 0; k < steps.size(); ++k) {
    require(steps[k].period > 0 || n == 0, "chain: the period must be positive");
    body.steps[k] = steps[k];
  }
  for_each(gpu, n, body);
}

}  // namespace gpunn::kernels
