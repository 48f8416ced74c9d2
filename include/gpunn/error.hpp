// The exceptions that libgpunn throws: one tree, so that `catch (const gpunn::Error&)` catches all of them.
//
// A message names what failed (the op, the file, the device), the shapes or sizes involved, and, where a line
// of the user's program caused it, that line. Nothing in the library calls exit() or abort() on an error.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

#include "gpunn/export.hpp"

namespace gpunn {

// Where in the user's program something was created. A defaulted last argument records the caller's line.
struct SourceLocation {
  const char* file = "";
  int line = 0;

  static constexpr SourceLocation current(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

// "model.cpp:12", or "" for a location that was never recorded.
GPUNN_API std::string to_string(const SourceLocation& where);

class GPUNN_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, SourceLocation where = {});
  const SourceLocation& where() const noexcept { return where_; }

 private:
  SourceLocation where_;
};

// Shapes, dtypes or attributes do not fit together: the network as described cannot exist.
class GPUNN_API ShapeError : public Error {
  using Error::Error;
};

// A function was called with an argument outside its domain, or in the wrong order (fit before compile).
class GPUNN_API UsageError : public Error {
  using Error::Error;
};

// Data that was read or passed in is wrong: a label out of range, NaN where it is refused, a malformed file.
class GPUNN_API DataError : public Error {
  using Error::Error;
};

// The operating system refused a file: missing, unreadable, disk full. The message names the path.
class GPUNN_API FileError : public DataError {
  using DataError::DataError;
};

// A device is missing, too old, or reported a failure.
class GPUNN_API DeviceError : public Error {
  using Error::Error;
};

// Memory ran out: the message says how much was asked; on a device also what is free and cached, and the five
// largest holders. asked() is 0 where a library did not say.
class GPUNN_API OutOfMemory : public DeviceError {
 public:
  OutOfMemory(const std::string& message, std::size_t asked, SourceLocation where = {})
      : DeviceError(message, where), asked_(asked) {}
  std::size_t asked() const noexcept { return asked_; }

 private:
  std::size_t asked_;
};

// Training met a loss or gradient that is not finite, and the model was told to stop on it.
class GPUNN_API Diverged : public Error {
  using Error::Error;
};

}  // namespace gpunn
