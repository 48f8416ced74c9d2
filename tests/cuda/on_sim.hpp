// What tests on the software device begin and end with.
#pragma once

#include <gtest/gtest.h>

#include "simt/simt.hpp"
#include "tests/cuda/devices.hpp"

namespace gpunn {

// The devices are there, and the test leaves no report of the software device behind.
class OnSim : public ::testing::Test {
 protected:
  void SetUp() override {
    register_devices();
    reports_ = simt::report_count();
  }
  void TearDown() override { EXPECT_EQ(simt::report_count(), reports_) << simt::last_report(); }

 private:
  std::size_t reports_ = 0;
};

}  // namespace gpunn
