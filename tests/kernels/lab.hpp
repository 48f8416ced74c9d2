// Running a kernel on the software device: memory, schedules, comparisons.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "gpunn/random.hpp"
#include "kernels/check.hpp"
#include "kernels/gpu.hpp"
#include "simt/simt.hpp"

namespace gpunn::kernels {

#if defined(GPUNN_SMALL_TESTS)
inline constexpr bool kSmallTests = true;
#else
inline constexpr bool kSmallTests = false;
#endif
// ThreadSanitizer is some ten times as slow as AddressSanitizer.
#if defined(GPUNN_SMALLEST_TESTS)
inline constexpr bool kSmallestTests = true;
#else
inline constexpr bool kSmallestTests = false;
#endif

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

// One way of running: the body puts its arrays `shift` elements behind an aligned address.
struct Way {
  Gpu gpu;
  int shift = 0;
};

// Device memory of exactly the size asked for (so that AddressSanitizer sees the first byte behind it), whose
// first element lies `shift` elements behind an aligned address. Fresh memory is NaN.
template <class T>
class Array {
 public:
  Array(const Way& way, std::size_t count) : way_(way), count_(count) {
    if (count == 0) return;
    const auto bytes = (count + static_cast<std::size_t>(way.shift)) * sizeof(T);
    check(cudaMalloc(&raw_, bytes));
    check(cudaMemsetAsync(raw_, 0xFF, bytes, stream()));  // in order with the kernels
  }
  Array(const Way& way, const std::vector<T>& values) : Array(way, values.size()) {
    if (count_ > 0) copy(data(), values.data(), cudaMemcpyHostToDevice);
  }
  ~Array() { cudaFree(raw_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() { return count_ == 0 ? nullptr : static_cast<T*>(raw_) + way_.shift; }
  operator T*() { return data(); }
  std::vector<T> read() {
    std::vector<T> values(count_);
    if (count_ > 0) copy(values.data(), data(), cudaMemcpyDeviceToHost);
    return values;
  }

 private:
  cudaStream_t stream() const { return static_cast<cudaStream_t>(way_.gpu.stream); }
  void copy(void* to, const void* from, cudaMemcpyKind kind) {
    check(cudaMemcpyAsync(to, from, count_ * sizeof(T), kind, stream()));
    check(cudaStreamSynchronize(stream()));
  }

  Way way_;
  std::size_t count_;
  void* raw_ = nullptr;
};

// Runs `body` in three thread orders, on aligned and odd addresses, for devices of 1 to 132 multiprocessors.
// All runs must return the same bits; these are returned.
inline Floats everywhere(const std::function<Floats(const Way&)>& body) {
  struct Setting {
    simt::Order order;
    int shift;
    int multiprocessors;
  };
  constexpr Setting kSettings[] = {{simt::Order::forward, 0, 132},
                                   {simt::Order::reverse, 1, 40},
                                   {simt::Order::random, 0, 2},
                                   {simt::Order::random, 3, 1}};
  const simt::Options before = simt::options();
  Floats first;
  bool have = false;
  for (const Setting& s : kSettings) {
    // Sanitizers see races and bounds in any schedule: one aligned and one odd run will do.
    if (kSmallTests && s.order != simt::Order::forward && s.shift != 3) continue;
    simt::Options options = before;
    options.order = s.order;
    // ThreadSanitizer looks for races within warps in one run, between warps and blocks in the other.
    options.identities = s.shift == 3 ? simt::Identities::warp : simt::Identities::thread;
    simt::set_options(options);
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    const Floats result = body(Way{Gpu{stream, s.multiprocessors}, s.shift});
    check(cudaStreamDestroy(stream));
    if (!have) {
      first = result, have = true;
    } else if (first.size() != result.size() ||
               (!first.empty() &&
                std::memcmp(first.data(), result.data(), first.size() * sizeof(float)) != 0)) {
      ADD_FAILURE() << "other bits in order " << static_cast<int>(s.order) << ", shift " << s.shift << ", "
                    << s.multiprocessors << " multiprocessors";
    }
  }
  simt::set_options(before);
  return first;
}

inline Floats join(std::initializer_list<Floats> parts) {
  Floats all;
  for (const Floats& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}
inline Floats part(const Floats& all, std::size_t begin, std::size_t count) {
  return Floats(all.begin() + static_cast<std::ptrdiff_t>(begin),
                all.begin() + static_cast<std::ptrdiff_t>(begin + count));
}

inline Floats uniform(std::int64_t n, float low, float high, std::uint64_t seed = 1) {
  Floats values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = low + (high - low) * uniform01(PhiloxKey{seed, 77}, i);
  return values;
}
inline std::vector<std::int32_t> integers(std::int64_t n, std::int32_t end, std::uint64_t seed = 1) {
  std::vector<std::int32_t> values;
  for (const float u : uniform(n, 0, 1, seed))
    values.push_back(static_cast<std::int32_t>(u * static_cast<float>(end)));
  return values;
}

// Element by element; NaN must meet NaN, infinity the same infinity.
inline void expect_near(const Floats& got, const Doubles& want, double relative, double absolute = 0) {
  ASSERT_EQ(got.size(), want.size());
  int reported = 0;
  for (std::size_t i = 0; i < got.size() && reported < 5; ++i) {
    const double g = got[i], w = want[i];
    if (std::isnan(w) ? std::isnan(g) : g == w || std::abs(g - w) <= absolute + relative * std::abs(w))
      continue;
    ADD_FAILURE() << "element " << i << " of " << got.size() << ": " << g << ", should be " << w;
    ++reported;
  }
}

// norm(got - want) / norm(want) for sums of `terms` products: what rounding to float allows.
inline void expect_close(const Floats& got, const Doubles& want, std::int64_t terms) {
  ASSERT_EQ(got.size(), want.size());
  double error = 0, size = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  const double allowed = 4 * std::sqrt(static_cast<double>(std::max<std::int64_t>(terms, 1))) * 0x1p-24;
  EXPECT_LE(std::sqrt(error), allowed * std::sqrt(size)) << "(not <= " << allowed << " of the norm)";
  if (!want.empty() && terms > 0) {
    EXPECT_GT(size, 0) << "a comparison of zeros proves nothing";
  }
}

inline Floats narrow(const Doubles& values) {
  return Floats(values.begin(), values.end());
}

inline constexpr Accumulate kModes[] = {Accumulate::overwrite, Accumulate::add};
// What memory holds before: NaN where it must not be read, else something to add to.
inline Floats before(Accumulate mode, std::size_t n) {
  return mode == Accumulate::add ? uniform(static_cast<std::int64_t>(n), -1, 1, 99) : Floats(n, NAN);
}
inline double old(Accumulate mode, const Floats& values, std::size_t i) {
  return mode == Accumulate::add ? values[i] : 0.0;
}

}  // namespace gpunn::kernels
