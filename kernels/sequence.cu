#include "kernels/sequence.hpp"

#include "kernels/launch.cuh"

namespace gpunn::kernels {
namespace {

// A thread per step: tokens are one number each, and so read side by side.
template <class T>
struct Differs {
  SequenceShape shape;
  T value;
  const T* x;
  std::uint8_t* mask;
  __device__ void operator()(std::int64_t i) const {
    bool any = false;
    for (std::int64_t k = 0; k < shape.features; ++k) any = any || x[i * shape.features + k] != value;
    mask[i] = any ? 1 : 0;
  }
};

template <Accumulate mode>
struct Apply {
  SequenceShape shape;
  const float* x;
  const std::uint8_t* mask;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const float value = mask[i / shape.features] != 0 ? x[i] : 0.0f;
    y[i] = mode == Accumulate::add ? y[i] + value : value;
  }
};

struct Either {
  const std::uint8_t* a;
  const std::uint8_t* b;
  std::uint8_t* y;
  __device__ void operator()(std::int64_t i) const { y[i] = a[i] | b[i]; }
};

struct Join {
  std::int64_t steps, others;
  const std::uint8_t* a;
  const std::uint8_t* b;
  std::uint8_t* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t row = i / (steps + others), step = i - row * (steps + others);
    y[i] = step < steps ? a[row * steps + step] : b[row * others + step - steps];
  }
};

template <Accumulate mode>
struct Reverse {
  SequenceShape shape;
  const float* x;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t place = i / shape.features, row = place / shape.steps,
                       step = place - row * shape.steps;
    const float value =
        x[(row * shape.steps + shape.steps - 1 - step) * shape.features + i - place * shape.features];
    y[i] = mode == Accumulate::add ? y[i] + value : value;
  }
};

}  // namespace

void sequence_mask(Gpu gpu, const SequenceShape& shape, float value, const float* x, std::uint8_t* mask) {
  for_each(gpu, shape.rows * shape.steps, Differs<float>{shape, value, x, mask});
}

void sequence_mask(Gpu gpu, const SequenceShape& shape, std::int32_t value, const std::int32_t* x,
                   std::uint8_t* mask) {
  for_each(gpu, shape.rows * shape.steps, Differs<std::int32_t>{shape, value, x, mask});
}

void apply_mask(Gpu gpu, const SequenceShape& shape, Accumulate mode, const float* x,
                const std::uint8_t* mask, float* y) {
  with_mode(mode, [&](auto m) {
    for_each(gpu, shape.rows * shape.steps * shape.features, Apply<m()>{shape, x, mask, y});
  });
}

void either_mask(Gpu gpu, std::int64_t n, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* y) {
  for_each(gpu, n, Either{a, b, y});
}

void join_masks(Gpu gpu, std::int64_t rows, std::int64_t steps, std::int64_t others, const std::uint8_t* a,
                const std::uint8_t* b, std::uint8_t* y) {
  for_each(gpu, rows * (steps + others), Join{steps, others, a, b, y});
}

void reverse(Gpu gpu, const SequenceShape& shape, Accumulate mode, const float* x, float* y) {
  with_mode(mode, [&](auto m) {
    for_each(gpu, shape.rows * shape.steps * shape.features, Reverse<m()>{shape, x, y});
  });
}

}  // namespace gpunn::kernels
