// Which device a name stands for. These tests say what happens on a machine without a GPU; with one they are
// skipped.

#include "src/graph/devices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpunn/log.hpp"
#include "src/core/log.hpp"
#include "src/ir/backend.hpp"

namespace gpunn {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DevicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    forget_logged_keys();
    set_log_sink([this](LogLevel, std::string_view message) { logged += std::string(message) + "\n"; });
    if (cuda_problem().reason.empty()) GTEST_SKIP() << "this machine has a CUDA device";
  }
  void TearDown() override { set_log_sink({}); }

  std::string logged;
};

TEST_F(DevicesTest, AutoIsTheCpuAndSaysWhyOnce) {
  EXPECT_EQ(resolve_device("auto", true), "cpu");
  EXPECT_EQ(resolve_device("auto", true), "cpu");
  EXPECT_THAT(logged, HasSubstr("running on the cpu: " + cuda_problem().reason));
  EXPECT_EQ(std::count(logged.begin(), logged.end(), '\n'), 1);
}

TEST_F(DevicesTest, CudaFallsBackAloudAndStrictRefuses) {
  EXPECT_EQ(resolve_device("cuda:1", false), "cpu");
  EXPECT_THAT(logged, HasSubstr(cuda_problem().reason));
  try {
    resolve_device("cuda", true);
    FAIL() << "strict must throw";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("cuda:0"));
    EXPECT_THAT(error.what(), HasSubstr(cuda_problem().reason));
  }
}

TEST_F(DevicesTest, AnUnknownNameListsTheKnownOnes) {
  try {
    resolve_device("tpu", false);
    FAIL() << "there is no such device";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'tpu'"));
    EXPECT_THAT(error.what(), HasSubstr("cpu"));
    EXPECT_THAT(error.what(), Not(HasSubstr("null")));
  }
}

TEST_F(DevicesTest, WhatComputesNothingCanOnlyBePlannedFor) {
  try {
    resolve_device("null", false);
    FAIL() << "a model would be made on it";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), HasSubstr("can be planned for"));
  }
  EXPECT_EQ(resolve_plan_device("null"), "null");
}

}  // namespace
}  // namespace gpunn
