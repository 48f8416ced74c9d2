#include "kernels/sequence.hpp"

#include "kernels/rows.cuh"

namespace gpunn::kernels {
namespace {

// Tokens are one number each: a thread per step.
template <class T>
struct Differs {
  T value;
  const T* x;
  std::uint8_t* mask;
  __device__ void operator()(std::int64_t i) const { mask[i] = x[i] != value ? 1 : 0; }
};

// Features of a step lie side by side, and so do the threads that read them.
template <class T>
struct AnyDiffers {
  std::int64_t features;
  T value;
  const T* x;
  std::uint8_t* mask;
  template <int kGroup>
  __device__ void operator()(const RowGroup<kGroup>& group, std::int64_t step) const {
    float any = 0;
    for (std::int64_t k = group.rank(); k < features; k += kGroup) {
      if (x[step * features + k] != value) any = 1;
    }
    any = group.reduce(any, Max{});
    if (group.rank() == 0) mask[step] = any != 0.0f ? 1 : 0;
  }
};

template <class T>
void find_padding(Gpu gpu, const SequenceShape& shape, T value, const T* x, std::uint8_t* mask) {
  const std::int64_t steps = shape.rows * shape.steps;
  if (shape.features == 1) return for_each(gpu, steps, Differs<T>{value, x, mask});
  for_each_row(gpu, steps, shape.features, AnyDiffers<T>{shape.features, value, x, mask});
}

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
  find_padding(gpu, shape, value, x, mask);
}

void sequence_mask(Gpu gpu, const SequenceShape& shape, std::int32_t value, const std::int32_t* x,
                   std::uint8_t* mask) {
  find_padding(gpu, shape, value, x, mask);
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
