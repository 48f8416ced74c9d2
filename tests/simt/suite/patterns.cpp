#include "patterns.hpp"

#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>

#include "check.hpp"

namespace simt_suite {
namespace {

// Both the call and what it started must succeed; else there is no result to compare.
template <class T>
double compare(cudaError_t launched, const Buffer<T>& got, const std::vector<double>& want) {
  if (launched != cudaSuccess || cudaDeviceSynchronize() != cudaSuccess) return INFINITY;
  return distance(got.read(), want);
}

// A sum of these does not cancel, so its relative error is that of the summation.
std::vector<float> positive(std::size_t n) {
  auto v = values(n);
  for (float& x : v) x = std::fabs(x);
  return v;
}

double reduce_error(Fault fault) {
  double worst = 0;
  for (const int n : {40, 64, 201}) {
    const auto x = positive(n);
    Buffer<float> dx(x), sum(1);
    double want = 0;
    for (const float v : x) want += v;
    worst = std::fmax(worst, compare(patterns::reduce(fault, dx.get(), sum.get(), n, nullptr), sum, {want}));
  }
  return worst;
}

double last_block_error(Fault fault) {
  const int n = 333;
  const auto x = positive(n);
  Buffer<float> dx(x), partial(4), sum(1);
  Buffer<unsigned> done(std::vector<unsigned>{0});
  double want = 0;
  for (const float v : x) want += v;
  return compare(
      patterns::reduce_last_block(fault, dx.get(), partial.get(), done.get(), sum.get(), n, nullptr), sum,
      {want});
}

double scan_error(Fault fault) {
  const int n = 64;
  const auto x = values(n);
  std::vector<double> want(n);
  double sum = 0;
  for (int i = 0; i < n; ++i) want[i] = sum += x[i];
  Buffer<float> dx(x), y(n);
  return compare(patterns::scan(fault, dx.get(), y.get(), n, nullptr), y, want);
}

double transpose_error(Fault fault) {
  const int rows = 19, cols = 13;
  const auto x = values(rows * cols);
  std::vector<double> want(x.size());
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c) want[c * rows + r] = x[r * cols + c];
  }
  Buffer<float> dx(x), y(x.size());
  return compare(patterns::transpose(fault, dx.get(), y.get(), rows, cols, nullptr), y, want);
}

std::vector<double> product(const std::vector<float>& a, const std::vector<float>& b, int m, int n, int k) {
  std::vector<double> c(m * n);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      for (int l = 0; l < k; ++l) c[i * n + j] += static_cast<double>(a[i * k + l]) * b[l * n + j];
    }
  }
  return c;
}

double gemm_error(Fault fault) {
  const int m = 13, n = 17, k = 20;
  const auto a = values(m * k, 1), b = values(k * n, 2);
  Buffer<float> da(a), db(b), c(m * n);
  return compare(patterns::gemm(fault, da.get(), db.get(), c.get(), m, n, k, nullptr), c,
                 product(a, b, m, n, k));
}

double histogram_error(Fault fault) {
  const int n = 1000;
  std::vector<unsigned char> x(n);
  std::vector<double> want(patterns::kBins);
  for (int i = 0; i < n; ++i) {
    x[i] = static_cast<unsigned char>((i * i >> 3) % patterns::kBins);
    ++want[x[i]];
  }
  Buffer<unsigned char> dx(x);
  Buffer<int> bins(std::vector<int>(patterns::kBins, 0));
  return compare(patterns::histogram(fault, dx.get(), n, bins.get(), nullptr), bins, want);
}

double softmax_error(Fault fault) {
  const int rows = 3, cols = 150;
  const auto x = values(rows * cols);
  std::vector<double> want(x.size());
  for (int r = 0; r < rows; ++r) {
    double sum = 0;
    for (int c = 0; c < cols; ++c) sum += std::exp(static_cast<double>(x[r * cols + c]));
    for (int c = 0; c < cols; ++c) want[r * cols + c] = std::exp(static_cast<double>(x[r * cols + c])) / sum;
  }
  Buffer<float> dx(x), y(x.size());
  return compare(patterns::softmax(fault, dx.get(), y.get(), rows, cols, nullptr), y, want);
}

double stencil_error(Fault fault) {
  const int n = 150;
  const auto x = values(n);
  std::vector<double> want(n);
  for (int i = 0; i < n; ++i) {
    for (int k = std::max(0, i - 2); k <= std::min(n - 1, i + 2); ++k) want[i] += x[k];
  }
  Buffer<float> dx(x), y(n);
  return compare(patterns::stencil(fault, dx.get(), y.get(), n, nullptr), y, want);
}

double sort_error(Fault fault) {
  const int n = 64;
  auto x = values(n);
  Buffer<float> dx(x);
  std::sort(x.begin(), x.end());
  return compare(patterns::sort(fault, dx.get(), n, nullptr), dx, {x.begin(), x.end()});
}

double recurrence_error(Fault fault) {
  constexpr int kHidden = patterns::kHidden, kSteps = 12;
  auto u = values(kHidden * kHidden, 3);
  const auto x = values(kSteps * kHidden, 4);
  for (float& w : u) w *= 0.2f;
  std::vector<double> want, h(kHidden, 0.0);
  for (int s = 0; s < kSteps; ++s) {
    std::vector<double> next(kHidden);
    for (int j = 0; j < kHidden; ++j) {
      double sum = x[s * kHidden + j];
      for (int i = 0; i < kHidden; ++i) sum += u[j * kHidden + i] * h[i];
      next[j] = std::tanh(sum);
    }
    h = next;
    want.insert(want.end(), h.begin(), h.end());
  }
  Buffer<float> du(u), dx(x), dh(kSteps * kHidden);
  return compare(patterns::recurrence(fault, du.get(), dx.get(), dh.get(), kSteps, nullptr), dh, want);
}

double wmma_error(Fault fault) {
  const int m = 16, n = 32, k = 48;
  auto a = values(m * k, 1), b = values(k * n, 2);
  std::vector<__half> half_a, half_b;
  for (float& v : a) half_a.push_back(__float2half(v)), v = __half2float(half_a.back());
  for (float& v : b) half_b.push_back(__float2half(v)), v = __half2float(half_b.back());
  Buffer<__half> da(half_a), db(half_b);
  Buffer<float> c(m * n);
  return compare(patterns::wmma_gemm(fault, da.get(), db.get(), c.get(), m, n, k, nullptr), c,
                 product(a, b, m, n, k));
}

double scale_error(Fault fault) {
  const int n = 404;
  const auto x = values(n);
  std::vector<double> want(n);
  for (int i = 0; i < n; ++i) want[i] = fault == Fault::lucky_tolerance && i % 4 == 0 ? 0.0 : 3.0 * x[i];
  Buffer<float> dx(x), y(n);
  return compare(patterns::scale4(fault, dx.get(), y.get(), 3.0f, n, nullptr), y, want);
}

}  // namespace

const std::vector<Pattern>& patterns() {
  // 4 sqrt(K) 2^-24 for sums of K floats, with room for approximate exponentials.
  static const std::vector<Pattern> all = {
      {"reduce", reduce_error, 4e-6},   {"reduce_last_block", last_block_error, 5e-6},
      {"scan", scan_error, 2e-6},       {"transpose", transpose_error, 0},
      {"gemm", gemm_error, 2e-6},       {"histogram", histogram_error, 0},
      {"softmax", softmax_error, 4e-6}, {"stencil", stencil_error, 1e-6},
      {"sort", sort_error, 0},          {"recurrence", recurrence_error, 4e-6},
      {"wmma_gemm", wmma_error, 4e-6},  {"scale4", scale_error, 1e-7},
  };
  return all;
}

const Pattern& pattern(const std::string& name) {
  const auto it =
      std::find_if(patterns().begin(), patterns().end(), [&](const Pattern& p) { return p.name == name; });
  if (it == patterns().end()) throw std::logic_error("no pattern " + name);
  return *it;
}

}  // namespace simt_suite
