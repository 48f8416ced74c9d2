#include "src/core/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace gpunn {
namespace {

struct State {
  std::atomic<LogLevel> level{LogLevel::info};
  // Recursive: a sink may itself use the library, whose messages then arrive inside it.
  std::recursive_mutex mutex;
  std::shared_ptr<const LogSink> sink;     // null: the default
  std::unique_ptr<spdlog::logger> logger;  // created with the first message that needs it
  std::set<std::string, std::less<>> logged_keys;
};

// Never destroyed: a static object of the application may log from its destructor.
State& state() {
  static State& instance = *new State;
  return instance;
}

void write_to_stderr(State& state, LogLevel level, std::string_view message) {
  if (!state.logger) {
    state.logger =
        std::make_unique<spdlog::logger>("gpunn", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    state.logger->set_level(spdlog::level::trace);
    state.logger->set_pattern("%H:%M:%S gpunn %^%l%$: %v");
    state.logger->set_error_handler([](const std::string&) {});
  }
  const auto severity = level == LogLevel::debug     ? spdlog::level::debug
                        : level == LogLevel::info    ? spdlog::level::info
                        : level == LogLevel::warning ? spdlog::level::warn
                                                     : spdlog::level::err;
  state.logger->log(severity, spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
    case LogLevel::off:
      return "off";
  }
  return "no level";
}

void set_log_sink(LogSink sink) {
  auto shared = sink ? std::make_shared<const LogSink>(std::move(sink)) : nullptr;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.sink.swap(shared);
}

void set_log_level(LogLevel level) {
  state().level = level;
}

bool logs(LogLevel level) noexcept {
  return level != LogLevel::off && level >= state().level.load(std::memory_order_relaxed);
}

void log(LogLevel level, std::string_view message) noexcept try {
  if (!logs(level)) return;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (const auto sink = s.sink) {  // a copy: the sink may replace itself
    (*sink)(level, message);
  } else {
    write_to_stderr(s, level, message);
  }
} catch (...) {  // see set_log_sink
}

void log_once(std::string_view key, LogLevel level, std::string_view message) noexcept try {
  State& s = state();
  {
    const std::lock_guard lock(s.mutex);
    if (!s.logged_keys.emplace(key).second) return;
  }
  log(level, message);
} catch (...) {
}

void forget_logged_keys() noexcept {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.logged_keys.clear();
}

}  // namespace gpunn
