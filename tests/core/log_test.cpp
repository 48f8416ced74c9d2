#include "src/core/log.hpp"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <string>
#include <thread>
#include <vector>

namespace gpunn {
namespace {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    forget_logged_keys();
    set_log_sink([this](LogLevel level, std::string_view message) {
      lines.push_back(std::string(to_string(level)) + ": " + std::string(message));
    });
  }
  void TearDown() override {
    set_log_sink({});
    set_log_level(LogLevel::info);
  }
  std::vector<std::string> lines;
};

TEST_F(LogTest, ReachesTheSinkFromTheLevelOn) {
  log_info("one");
  log(LogLevel::debug, "two");
  set_log_level(LogLevel::debug);
  log(LogLevel::debug, "three");
  set_log_level(LogLevel::off);
  log(LogLevel::error, "four");
  EXPECT_EQ(lines, (std::vector<std::string>{"info: one", "debug: three"}));
}

TEST_F(LogTest, LogsAKeyOnce) {
  for (int i = 0; i < 3; ++i) {
    log_once("conv.reference", LogLevel::warning, "slow");
    log_once("other", LogLevel::info, "also");
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"warning: slow", "info: also"}));
}

TEST_F(LogTest, ASinkMayLogReplaceItselfAndThrow) {
  set_log_sink([this](LogLevel, std::string_view message) {
    if (message == "outer") log_info("inner");
    if (message == "replace")
      set_log_sink([this](LogLevel, std::string_view m) { lines.push_back("new " + std::string(m)); });
    lines.emplace_back(message);
    throw 1;
  });
  log_info("outer");
  log_info("replace");
  log_info("last");
  EXPECT_EQ(lines, (std::vector<std::string>{"inner", "outer", "replace", "new last"}));
}

TEST_F(LogTest, CallsTheSinkFromOneThreadAtATime) {
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 100; ++i) log_info("line");
      });
    }
  }
  EXPECT_EQ(lines.size(), 400u);
}

TEST(Log, GoesToStandardErrorAndLeavesTheApplicationsLoggerAlone) {
  const auto applications = spdlog::default_logger();
  set_log_sink({});
  testing::internal::CaptureStderr();
  log_warning("look {} here");  // braces are no format
  const std::string written = testing::internal::GetCapturedStderr();
  EXPECT_NE(written.find("gpunn warning: look {} here"), std::string::npos) << written;
  EXPECT_EQ(spdlog::default_logger(), applications);
  EXPECT_EQ(spdlog::get("gpunn"), nullptr);
}

}  // namespace
}  // namespace gpunn
