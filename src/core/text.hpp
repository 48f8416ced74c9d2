// Builds messages: cat("row ", 3, " of ", shape) is one string.
#pragma once

#include <concepts>
#include <sstream>
#include <string>
#include <string_view>

namespace gpunn {

namespace detail {
template <class T>
void append(std::ostringstream& out, const T& value) {
  if constexpr (std::same_as<T, bool>) {
    out << (value ? "true" : "false");
  } else if constexpr (requires { out << value; }) {
    out << value;
  } else {
    out << to_string(value);  // shapes, dtypes, source locations
  }
}
}  // namespace detail

template <class... Parts>
std::string cat(const Parts&... parts) {
  std::ostringstream out;
  (detail::append(out, parts), ...);
  return std::move(out).str();
}

}  // namespace gpunn
