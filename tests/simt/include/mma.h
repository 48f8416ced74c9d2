// nvcuda::wmma, which the toolkit's mma.h offers to nvcc alone. A fragment is spread over the lanes in an
// order that is deliberately neither rows nor columns: code that knows which element a lane holds is wrong on
// hardware, and here.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "simt/warp.hpp"

namespace simt {
void* warp_scratch(std::size_t bytes);
}

namespace nvcuda::wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };
namespace precision {
struct tf32;
}

template <class T>
using storage_element = std::conditional_t<std::is_same_v<T, precision::tf32>, float, T>;

template <class Use, int M, int N, int K, class T, class Layout = void>
struct fragment {
  static_assert((M == 16 && N == 16 && (K == 16 || K == 8)) || (M == 32 && N == 8 && K == 16) ||
                    (M == 8 && N == 32 && K == 16),
                "not a shape that wmma has");
  using element_type = storage_element<T>;
  static constexpr int kRows = std::is_same_v<Use, matrix_b> ? K : M;
  static constexpr int kCols = std::is_same_v<Use, matrix_a> ? K : N;
  static constexpr int num_elements = kRows * kCols / 32;
  element_type x[num_elements];

  // The matrix element that is x[i] of a lane; 37 is odd, so this is a permutation.
  static constexpr int element(int i, unsigned lane) {
    return (i * 32 + static_cast<int>(lane)) * 37 % (kRows * kCols);
  }
};

inline float __float_to_tf32(float x) {  // 10 bits of mantissa, to nearest
  const unsigned bits = __builtin_bit_cast(unsigned, x);
  return __builtin_bit_cast(float, (bits + 0x1000u) & ~0x1fffu);
}

template <class Fragment, class T>
void fill_fragment(Fragment& f, T value) {
  for (auto& x : f.x) x = value;
}

namespace detail {

SIMT_UNWATCHED inline void converge(const simt::Location& at) {
  const simt::Lanes& lanes = simt::exchange(simt::kFullMask, 0, simt::Collective::matrix, at);
  if (lanes.present != simt::kFullMask) simt::fail("a wmma call is made by part of a warp", at);
}

template <class T>
void check_address(const T* p, unsigned stride, const simt::Location& at) {
  if (reinterpret_cast<std::uintptr_t>(p) % 32 != 0)
    simt::fail("a wmma pointer is not aligned to 32 bytes", at);
  if (stride * sizeof(T) % 16 != 0) simt::fail("a wmma leading dimension is not a multiple of 16 bytes", at);
}

template <class Fragment>
SIMT_UNWATCHED void gather(float* matrix, const Fragment& f) {
  for (int i = 0; i < Fragment::num_elements; ++i) {
    matrix[Fragment::element(i, simt::lane())] = static_cast<float>(f.x[i]);
  }
}

}  // namespace detail

template <class Use, int M, int N, int K, class T, class Layout>
void load_matrix_sync(fragment<Use, M, N, K, T, Layout>& f, const storage_element<T>* p, unsigned stride,
                      simt::Location at = simt::Location::current()) {
  using F = fragment<Use, M, N, K, T, Layout>;
  detail::check_address(p, stride, at);
  detail::converge(at);
  for (int i = 0; i < F::num_elements; ++i) {
    const unsigned e = static_cast<unsigned>(F::element(i, simt::lane())), r = e / F::kCols, c = e % F::kCols;
    f.x[i] = std::is_same_v<Layout, col_major> ? p[c * stride + r] : p[r * stride + c];
  }
}

template <int M, int N, int K, class T>
void load_matrix_sync(fragment<accumulator, M, N, K, T>& f, const T* p, unsigned stride, layout_t layout,
                      simt::Location at = simt::Location::current()) {
  using F = fragment<accumulator, M, N, K, T>;
  detail::check_address(p, stride, at);
  detail::converge(at);
  for (int i = 0; i < F::num_elements; ++i) {
    const unsigned e = static_cast<unsigned>(F::element(i, simt::lane())), r = e / N, c = e % N;
    f.x[i] = layout == mem_row_major ? p[r * stride + c] : p[c * stride + r];
  }
}

template <int M, int N, int K, class T>
void store_matrix_sync(T* p, const fragment<accumulator, M, N, K, T>& f, unsigned stride, layout_t layout,
                       simt::Location at = simt::Location::current()) {
  using F = fragment<accumulator, M, N, K, T>;
  detail::check_address(p, stride, at);
  detail::converge(at);
  for (int i = 0; i < F::num_elements; ++i) {
    const unsigned e = static_cast<unsigned>(F::element(i, simt::lane())), r = e / N, c = e % N;
    p[layout == mem_row_major ? r * stride + c : c * stride + r] = f.x[i];
  }
}

// Sums in float, in order of k; hardware's order and rounding inside a product are not specified.
template <int M, int N, int K, class In, class LayoutA, class LayoutB, class Out>
SIMT_UNWATCHED void mma_sync(fragment<accumulator, M, N, K, Out>& d,
                             const fragment<matrix_a, M, N, K, In, LayoutA>& a,
                             const fragment<matrix_b, M, N, K, In, LayoutB>& b,
                             const fragment<accumulator, M, N, K, Out>& c,
                             simt::Location at = simt::Location::current()) {
  float* scratch = static_cast<float*>(simt::warp_scratch(sizeof(float) * (M * K + K * N)));
  float *matrix_of_a = scratch, *matrix_of_b = scratch + M * K;
  detail::gather(matrix_of_a, a);
  detail::gather(matrix_of_b, b);
  detail::converge(at);
  for (int i = 0; i < d.num_elements; ++i) {
    const int e = d.element(i, simt::lane()), row = e / N, column = e % N;
    float sum = 0;
    for (int k = 0; k < K; ++k) sum += matrix_of_a[row * K + k] * matrix_of_b[k * N + column];
    d.x[i] = static_cast<Out>(static_cast<float>(c.x[i]) + sum);
  }
  detail::converge(at);  // the scratch memory is free again
}

}  // namespace nvcuda::wmma
