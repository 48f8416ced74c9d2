// How the library logs. Build the message only if it will be read:
//   if (logs(LogLevel::debug)) log(LogLevel::debug, cat("plan: ", bytes, " bytes"));
#pragma once

#include <string_view>

#include "gpunn/export.hpp"
#include "gpunn/log.hpp"

namespace gpunn {

bool logs(LogLevel level) noexcept;
void log(LogLevel level, std::string_view message) noexcept;

inline void log_info(std::string_view message) noexcept {
  log(LogLevel::info, message);
}
inline void log_warning(std::string_view message) noexcept {
  log(LogLevel::warning, message);
}

// Logs the first time `key` is seen in this process: for fallbacks, which must be told once, not per step.
GPUNN_API void log_once(std::string_view key, LogLevel level, std::string_view message) noexcept;

// Forgets the keys, so that a test sees its message whatever ran before it.
void forget_logged_keys() noexcept;

}  // namespace gpunn
