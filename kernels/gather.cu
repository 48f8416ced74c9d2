#include "kernels/gather.hpp"

#include <cmath>

#include "kernels/launch.cuh"

namespace gpunn::kernels {
namespace {

// What one element becomes, and what stands where there is none.
template <class From>
struct Rescaled {
  Affine by;
  __device__ float value(From x) const { return static_cast<float>(x) * by.scale + by.offset; }
  __device__ float missing() const { return NAN; }
};
struct Unchanged {
  __device__ std::int32_t value(std::int32_t x) const { return x; }
  __device__ std::int32_t missing() const { return -1; }
};

template <class From, class To, class Convert>
struct GatherRows {
  GatherShape shape;
  Convert convert;
  const From* x;
  const std::int64_t* indices;
  Cursor cursor;
  To* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t row = i / shape.columns, column = i - row * shape.columns;
    const std::int64_t start = cursor.cursor == nullptr ? 0 : *cursor.cursor % cursor.period;
    const std::int64_t from = indices[start + row];
    const bool inside = from >= 0 && from < shape.source_rows;
    y[i] = inside ? convert.value(x[from * shape.columns + column]) : convert.missing();
  }
};

__global__ void __launch_bounds__(kWarp)
    advance_cursor_kernel(std::int64_t by, std::int64_t period, std::int64_t* cursor) {
  if (threadIdx.x == 0) *cursor = (*cursor + by) % period;
}

}  // namespace

void gather_rows(Gpu gpu, const GatherShape& shape, const Affine& by, const float* x,
                 const std::int64_t* indices, Cursor cursor, float* y) {
  using Body = GatherRows<float, float, Rescaled<float>>;
  for_each(gpu, shape.rows * shape.columns, Body{shape, {by}, x, indices, cursor, y});
}

void gather_rows(Gpu gpu, const GatherShape& shape, const Affine& by, const std::uint8_t* x,
                 const std::int64_t* indices, Cursor cursor, float* y) {
  using Body = GatherRows<std::uint8_t, float, Rescaled<std::uint8_t>>;
  for_each(gpu, shape.rows * shape.columns, Body{shape, {by}, x, indices, cursor, y});
}

void gather_rows(Gpu gpu, const GatherShape& shape, const std::int32_t* x, const std::int64_t* indices,
                 Cursor cursor, std::int32_t* y) {
  using Body = GatherRows<std::int32_t, std::int32_t, Unchanged>;
  for_each(gpu, shape.rows * shape.columns, Body{shape, {}, x, indices, cursor, y});
}

void advance_cursor(Gpu gpu, std::int64_t by, std::int64_t period, std::int64_t* cursor) {
  require(by >= 0 && period > 0, "advance_cursor: forward, round a period");
  launch(gpu, {1, kWarp}, advance_cursor_kernel, by, period, cursor);
}

}  // namespace gpunn::kernels
