#include "kernels/gemm.hpp"

#include <algorithm>

#include "kernels/epilogue.cuh"
#include "kernels/gemm_tile.cuh"

namespace gpunn::kernels {
namespace {

// Element k of line l lies at data[l * stride + k] or, with kSideBySide, at data[k * stride + l].
template <bool kSideBySide>
struct MatrixLoader {
  static constexpr bool kAcross = kSideBySide;
  const float* data;
  std::int64_t stride;
  __device__ const float* line(std::int64_t, std::int64_t l) const {
    return data + (kSideBySide ? l : l * stride);
  }
  __device__ float at(const float* line, std::int64_t k) const { return line[kSideBySide ? k * stride : k]; }
};

struct StoreMatrix {
  static constexpr bool kColumnSums = false;
  Epilogue epilogue;
  std::int64_t n;
  float* y;
  __device__ void store(std::int64_t, std::int64_t, std::int64_t row, std::int64_t column, float sum) const {
    finish(epilogue, y, row * n + column, column, sum);
  }
};

struct StoreMatrixAndSums : StoreMatrix {
  static constexpr bool kColumnSums = true;
  ColumnSums sums;
  __device__ bool wants_sums() const { return sums.y != nullptr; }
  __device__ void store_sum(std::int64_t, std::int64_t, std::int64_t column, float sum) const {
    finish(sums, column, sum);
  }
};

}  // namespace

void gemm(Gpu gpu, const Gemm& s, const float* a, const float* b, const Epilogue& epilogue, float* y,
          float* scratch, const ColumnSums& sums) {
  require_epilogue(epilogue);
  require(sums.y == nullptr || s.layout == Layout::tn, "gemm: sums of columns go with the layout tn");
  const GemmSize size{s.m, s.n, s.k};
  const StoreMatrix out{epilogue, s.n, y};
  switch (s.layout) {
    case Layout::nn:
      return gemm_tiled(gpu, size, MatrixLoader<false>{a, s.k}, MatrixLoader<true>{b, s.n}, out, scratch);
    case Layout::nt:
      return gemm_tiled(gpu, size, MatrixLoader<false>{a, s.k}, MatrixLoader<false>{b, s.k}, out, scratch);
    case Layout::tn:
      return gemm_tiled(gpu, size, MatrixLoader<true>{a, s.m}, MatrixLoader<true>{b, s.n},
                        StoreMatrixAndSums{out, sums}, scratch, sums.y != nullptr);
  }
}

std::int64_t gemm_gradients_scratch_floats(std::int64_t rows, std::int64_t in, std::int64_t out) {
  if (gradients_pair(rows, in, out)) return 0;
  return std::max(gemm_scratch_floats(rows, in, out), gemm_scratch_floats(in, out, rows, 1, true));
}

void gemm_gradients(Gpu gpu, const GemmGradients& g, float* scratch) {
  require_epilogue(g.dx_epilogue);
  if (!gradients_pair(g.rows, g.in, g.out)) {
    gemm(gpu, {Layout::nt, g.rows, g.in, g.out}, g.dz, g.w, g.dx_epilogue, g.dx, scratch);
    gemm(gpu, {Layout::tn, g.in, g.out, g.rows}, g.x, g.dz, {.mode = g.dw_mode}, g.dw, scratch, g.sums);
    return;
  }
  const auto work = [](const GemmSize& size, auto a, auto b, auto out) {
    const GemmCuts cuts = gemm_cuts(gemm_tiling(size.m, size.n, size.k), 1);
    return GemmWork<decltype(a), decltype(b), decltype(out)>{size, cuts, a, b, out};
  };
  const StoreMatrix dw{{.mode = g.dw_mode}, g.out, g.dw};
  gemm_pair_tiled(gpu,
                  work({g.rows, g.in, g.out}, MatrixLoader<false>{g.dz, g.out},
                       MatrixLoader<false>{g.w, g.out}, StoreMatrix{g.dx_epilogue, g.in, g.dx}),
                  work({g.in, g.out, g.rows}, MatrixLoader<true>{g.x, g.in}, MatrixLoader<true>{g.dz, g.out},
                       StoreMatrixAndSums{dw, g.sums}));
}

}  // namespace gpunn::kernels
