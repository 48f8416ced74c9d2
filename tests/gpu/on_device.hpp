// What tests of a device begin and end with.
#pragma once

#include <gtest/gtest.h>

#include "tests/gpu/devices.hpp"
#include "tests/gpu/networks.hpp"

namespace gpunn::tests {

// Skips, with the reason, where the device is not there.
class OnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    register_devices();
    complaint_ = last_complaint();
    try {
      Sequential({Input({1}), Dense(1)}, on(device_under_test()));
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
  }
  void TearDown() override { EXPECT_EQ(last_complaint(), complaint_); }

 private:
  std::string complaint_;
};

}  // namespace gpunn::tests
