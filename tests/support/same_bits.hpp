// Runs that must not differ in any bit.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/trained.hpp"

namespace gpunn {

inline void expect_same_bits(const Trained& a, const Trained& b) {
  EXPECT_EQ(a.losses, b.losses);
  ASSERT_EQ(a.weights.size(), b.weights.size());
  EXPECT_EQ(std::memcmp(a.weights.data(), b.weights.data(), a.weights.size() * sizeof(float)), 0);
}

}  // namespace gpunn
