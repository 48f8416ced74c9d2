// Small helpers of the suite: device buffers, launches that must succeed, comparisons.
#pragma once

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "simt/simt.hpp"

#define CHECK_CUDA(expression)                                                               \
  do {                                                                                       \
    const cudaError_t code_ = (expression);                                                  \
    ASSERT_EQ(code_, cudaSuccess) << #expression << " returned " << cudaGetErrorName(code_); \
  } while (false)

namespace simt_suite {

inline void require(cudaError_t code) {
  if (code != cudaSuccess) throw std::runtime_error(cudaGetErrorName(code));
}

template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t n) : n_(n) { require(cudaMalloc(&data_, n * sizeof(T))); }
  explicit Buffer(const std::vector<T>& host) : Buffer(host.size()) { write(host); }
  ~Buffer() { static_cast<void>(cudaFree(data_)); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  T* get() const { return data_; }
  std::size_t size() const { return n_; }
  void write(const std::vector<T>& host) {
    require(cudaMemcpy(data_, host.data(), n_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  std::vector<T> read() const {
    std::vector<T> host(n_);
    require(cudaMemcpy(host.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost));
    return host;
  }

 private:
  T* data_ = nullptr;
  std::size_t n_;
};

// Reproducible values in [-1, 1), with no structure that a wrong index could share.
inline std::vector<float> values(std::size_t n, std::uint32_t seed = 1) {
  std::vector<float> v(n);
  std::uint32_t state = seed * 2654435761u + 12345;
  for (float& x : v) {
    state = state * 1664525u + 1013904223u;
    x = static_cast<float>(static_cast<std::int32_t>(state >> 8) - (1 << 23)) * 0x1p-23f;
  }
  return v;
}

// Largest difference relative to the largest wanted value; NaN counts as infinite.
template <class T>
double distance(const std::vector<T>& got, const std::vector<double>& want) {
  if (got.size() != want.size()) return INFINITY;
  double worst = 0, scale = 1e-30;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::fabs(static_cast<double>(got[i]) - want[i]);
    if (!(d <= worst)) worst = std::isnan(d) ? INFINITY : d;
    scale = std::fmax(scale, std::fabs(want[i]));
  }
  return worst / scale;
}

// Restores the options that the environment asks for.
class WithOptions {
 public:
  explicit WithOptions(const simt::Options& o) { simt::set_options(o); }
  ~WithOptions() { simt::set_options(simt::Options::from_environment()); }
};

}  // namespace simt_suite
