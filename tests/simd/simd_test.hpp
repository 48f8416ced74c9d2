// What the kernel tests share: every test runs on each instruction set that the processor has, against plain
// loops in double.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "src/cpu/simd/dispatch.hpp"

namespace gpunn::cpu::simd {

using Vec1 = std::vector<float>;
using Ref1 = std::vector<double>;

inline Vec1 uniform(std::int64_t n, float low, float high, unsigned seed = 1) {
  std::mt19937 bits(seed);
  std::uniform_real_distribution<float> value(low, high);
  Vec1 v(static_cast<std::size_t>(n));
  for (float& x : v) x = value(bits);
  return v;
}

// norm(got - want) / norm(want) <= 4 sqrt(terms) 2^-24, the bound for sums of `terms` products in float.
inline ::testing::AssertionResult near(const Vec1& got, const Ref1& want, double terms) {
  if (got.size() != want.size())
    return ::testing::AssertionFailure() << got.size() << " values, not " << want.size();
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  const double bound = 4 * std::sqrt(std::max(terms, 1.0)) * 0x1p-24;
  if (std::sqrt(difference) <= bound * std::sqrt(norm)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "relative error " << std::sqrt(difference / norm) << " above " << bound;
}

class OnEveryIsa : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    set_ = kernels_for(GetParam());
    if (!set_) GTEST_SKIP() << "this processor lacks the instruction set";
  }
  const Kernels& kernels() const { return *set_; }

 private:
  const Kernels* set_ = nullptr;
};

inline std::string isa_name(const ::testing::TestParamInfo<Isa>& info) {
  const char* names[] = {"base", "avx2", "avx512"};
  return names[static_cast<int>(info.param)];
}

#define GPUNN_TEST_ON_EVERY_ISA(Suite) \
  INSTANTIATE_TEST_SUITE_P(Simd, Suite, ::testing::Values(Isa::base, Isa::avx2, Isa::avx512), isa_name)

// Around one vector of every level, around two, and a prime.
inline const std::vector<std::int64_t> kEdgeSizes = {0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 101};

}  // namespace gpunn::cpu::simd
