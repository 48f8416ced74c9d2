#include "kernels/gemm.hpp"

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

}  // namespace gpunn::kernels
