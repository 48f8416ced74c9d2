#include "kernels/gather.hpp"

#include "kernels/launch.cuh"

namespace gpunn::kernels {
namespace {

template <class T>
struct GatherRows {
  GatherShape shape;
  const T* x;
  const std::int64_t* indices;
  T* y;
  __device__ void operator()(std::int64_t i) const {
    const std::int64_t row = i / shape.columns, column = i - row * shape.columns;
    const std::int64_t from = indices[row];
    const bool inside = from >= 0 && from < shape.source_rows;
    y[i] = inside ? x[from * shape.columns + column] : static_cast<T>(-1);
  }
};

}  // namespace

void gather_rows(Gpu gpu, const GatherShape& shape, const std::uint32_t* x, const std::int64_t* indices,
                 std::uint32_t* y) {
  for_each(gpu, shape.rows * shape.columns, GatherRows<std::uint32_t>{shape, x, indices, y});
}

void gather_rows(Gpu gpu, const GatherShape& shape, const std::uint8_t* x, const std::int64_t* indices,
                 std::uint8_t* y) {
  for_each(gpu, shape.rows * shape.columns, GatherRows<std::uint8_t>{shape, x, indices, y});
}

}  // namespace gpunn::kernels
