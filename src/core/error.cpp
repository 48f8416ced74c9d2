#include "gpunn/error.hpp"

namespace gpunn {
namespace {

std::string located(const std::string& message, const SourceLocation& where) {
  const std::string at = to_string(where);
  return at.empty() ? message : at + ": " + message;
}

}  // namespace

std::string to_string(const SourceLocation& where) {
  if (where.line == 0) return {};
  const std::string_view path = where.file;
  // The name alone: the path is that of the machine that compiled the program.
  return std::string(path.substr(path.find_last_of('/') + 1)) + ":" + std::to_string(where.line);
}

Error::Error(const std::string& message, SourceLocation where)
    : std::runtime_error(located(message, where)), where_(where) {}

}  // namespace gpunn
