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

// Text from a file, fit to stand in a message: in quotes, control characters as \xNN, cut where it gets long.
inline std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMost = 60;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string result = "\"";
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      result += {'\\', 'x', kDigits[byte / 16], kDigits[byte % 16]};
    } else {
      result += c;
    }
  }
  return result + (text.size() > kMost ? "...\"" : "\"");
}

}  // namespace gpunn
