#include <mma.h>

#include "launch.hpp"
#include "patterns.hpp"

namespace {

constexpr int kTile = 8;

// The extra column keeps the columns of a tile in different banks.
template <Fault fault>
__global__ void __launch_bounds__(kTile* kTile)
    transpose_tiles(const float* x, float* y, int rows, int cols) {
  __shared__ float tile[kTile][kTile + 1];
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const int column = static_cast<int>(blockIdx.x) * kTile + tx,
            row = static_cast<int>(blockIdx.y) * kTile + ty;
  if (row < rows && column < cols) tile[ty][tx] = x[row * cols + column];
  if constexpr (fault != Fault::no_barrier) __syncthreads();
  int to_column = static_cast<int>(blockIdx.y) * kTile + tx,
      to_row = static_cast<int>(blockIdx.x) * kTile + ty;
  if constexpr (fault == Fault::swapped_index) {
    to_column = tx * kTile + static_cast<int>(blockIdx.y);
  }
  const bool inside =
      fault == Fault::wrong_compare ? to_row <= cols && to_column < rows : to_row < cols && to_column < rows;
  if (inside) y[to_row * rows + to_column] = tile[tx][ty];
}

template <Fault fault>
__global__ void __launch_bounds__(kTile* kTile)
    gemm_tiles(const float* a, const float* b, float* c, int m, int n, int k) {
  __shared__ float tile_a[kTile][kTile], tile_b[kTile][kTile];
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * kTile + ty,
            column = static_cast<int>(blockIdx.x) * kTile + tx;
  float sum = 0.0f;
  for (int first = 0; first < k; first += kTile) {
    tile_a[ty][tx] = row < m && first + tx < k ? a[row * k + first + tx] : 0.0f;
    tile_b[ty][tx] = first + ty < k && column < n ? b[(first + ty) * n + column] : 0.0f;
    if constexpr (fault != Fault::no_barrier) __syncthreads();
    for (int i = 0; i < kTile; ++i) sum += tile_a[ty][i] * tile_b[i][tx];
    if constexpr (fault != Fault::no_second_barrier) __syncthreads();
  }
  if (row < m && column < n) c[row * n + column] = sum;
}

// One warp per 16x16 tile of c.
template <Fault fault>
__global__ void __launch_bounds__(32) wmma_tiles(const __half* a, const __half* b, float* c, int n, int k) {
  using namespace nvcuda;
  const int row = static_cast<int>(blockIdx.y) * 16, column = static_cast<int>(blockIdx.x) * 16;
  wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> tile_a;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> tile_b;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
  wmma::fill_fragment(sum, 0.0f);
  if (fault == Fault::divergent_barrier && threadIdx.x >= 16) return;
  for (int i = 0; i < k; i += 16) {
    wmma::load_matrix_sync(tile_a, a + row * k + i + (fault == Fault::misaligned_vector ? 4 : 0), k);
    wmma::load_matrix_sync(tile_b, b + i * n + column, n);
    wmma::mma_sync(sum, tile_a, tile_b, sum);
  }
  wmma::store_matrix_sync(c + row * n + column, sum, n, wmma::mem_row_major);
}

unsigned tiles(int n) {
  return static_cast<unsigned>((n + kTile - 1) / kTile);
}

}  // namespace

#define CASE(kernel, name, ...) \
  case Fault::name:             \
    return launch(kernel<Fault::name>, __VA_ARGS__)

namespace patterns {

cudaError_t transpose(Fault fault, const float* x, float* y, int rows, int cols, cudaStream_t stream) {
  const dim3 grid(tiles(cols), tiles(rows)), block(kTile, kTile);
  switch (fault) {
    CASE(transpose_tiles, none, grid, block, 0, stream, x, y, rows, cols);
    CASE(transpose_tiles, no_barrier, grid, block, 0, stream, x, y, rows, cols);
    CASE(transpose_tiles, swapped_index, grid, block, 0, stream, x, y, rows, cols);
    CASE(transpose_tiles, wrong_compare, grid, block, 0, stream, x, y, rows, cols);
    default:
      return cudaErrorNotSupported;
  }
}

cudaError_t gemm(Fault fault, const float* a, const float* b, float* c, int m, int n, int k,
                 cudaStream_t stream) {
  const dim3 grid(tiles(n), tiles(m)), block(kTile, kTile);
  switch (fault) {
    CASE(gemm_tiles, none, grid, block, 0, stream, a, b, c, m, n, k);
    CASE(gemm_tiles, no_barrier, grid, block, 0, stream, a, b, c, m, n, k);
    CASE(gemm_tiles, no_second_barrier, grid, block, 0, stream, a, b, c, m, n, k);
    default:
      return cudaErrorNotSupported;
  }
}

cudaError_t wmma_gemm(Fault fault, const void* a, const void* b, float* c, int m, int n, int k,
                      cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(n / 16), static_cast<unsigned>(m / 16));
  const auto* x = static_cast<const __half*>(a);
  const auto* y = static_cast<const __half*>(b);
  switch (fault) {
    CASE(wmma_tiles, none, grid, 32, 0, stream, x, y, c, n, k);
    CASE(wmma_tiles, divergent_barrier, grid, 32, 0, stream, x, y, c, n, k);
    CASE(wmma_tiles, misaligned_vector, grid, 32, 0, stream, x, y, c, n, k);
    default:
      return cudaErrorNotSupported;
  }
}

}  // namespace patterns
