// Where the library's messages go: to standard error, or wherever the application says.
//
// The library has a logger of its own and never touches the application's.
#pragma once

#include <functional>
#include <string_view>

#include "gpunn/export.hpp"

namespace gpunn {

enum class LogLevel { debug, info, warning, error, off };

GPUNN_API std::string_view to_string(LogLevel level);

// One message without a newline at its end, valid during the call. Calls come one at a time, from any thread.
using LogSink = std::function<void(LogLevel level, std::string_view message)>;

// Sends every message to `sink`; an empty function restores standard error. When it returns, the sink before
// is no longer called. What a sink throws is swallowed: a message that cannot be written must not stop a
// training run.
GPUNN_API void set_log_sink(LogSink sink);

// Messages below `level` are dropped before they reach the sink. Default: info.
GPUNN_API void set_log_level(LogLevel level);

}  // namespace gpunn
