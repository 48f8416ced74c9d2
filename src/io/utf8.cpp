#include "src/io/utf8.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace gpunn::io {
namespace {

struct Range {
  unsigned char low, high;
};

// What the first byte announces: how many bytes follow and where the second must lie. 0xC0, 0xC1, and 0xF5
// and above begin nothing; the bounds of the second byte keep out overlong forms, surrogates and what lies
// beyond U+10FFFF.
int following(unsigned char first, Range& second) {
  second = {0x80, 0xBF};
  if (first >= 0xC2 && first <= 0xDF) return 1;
  if (first >= 0xE0 && first <= 0xEF) {
    if (first == 0xE0) second.low = 0xA0;
    if (first == 0xED) second.high = 0x9F;
    return 2;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (first == 0xF0) second.low = 0x90;
    if (first == 0xF4) second.high = 0x8F;
    return 3;
  }
  return 0;
}

// Eight bytes at a time: most text is ASCII.
std::size_t skip_ascii(std::string_view text, std::size_t at) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080u;
  while (at + 8 <= text.size()) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, 8);
    if ((word & kHighBits) != 0) break;
    at += 8;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) ++at;
  return at;
}

}  // namespace

std::size_t utf8_length(std::string_view text, std::size_t& broken) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  broken = 0;
  if (text.empty()) return 0;
  if (byte(0) < 0x80) return 1;
  Range allowed{};
  const int more = following(byte(0), allowed);
  broken = 1;
  if (more == 0) return 0;
  for (std::size_t i = 1; i <= static_cast<std::size_t>(more); ++i) {
    if (i >= text.size() || byte(i) < allowed.low || byte(i) > allowed.high) return 0;
    broken = i + 1;
    allowed = {0x80, 0xBF};
  }
  return broken;
}

std::size_t find_invalid_utf8(std::string_view text) {
  std::size_t broken = 0;
  for (std::size_t at = skip_ascii(text, 0); at < text.size(); at = skip_ascii(text, at)) {
    const std::size_t length = utf8_length(text.substr(at), broken);
    if (length == 0) return at;
    at += length;
  }
  return text.npos;
}

std::string replace_invalid_utf8(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string result;
  std::size_t broken = 0;
  while (!text.empty()) {
    const std::size_t good = std::min(find_invalid_utf8(text), text.size());
    result += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) break;
    utf8_length(text, broken);
    result += kReplacement;
    text.remove_prefix(broken);
  }
  return result;
}

std::string describe_invalid_utf8(std::string_view text, std::size_t at) {
  char message[64];
  std::snprintf(message, sizeof message, "byte %zu (0x%02X) is not UTF-8", at + 1,
                static_cast<unsigned>(static_cast<unsigned char>(text[at])));
  return message;
}

}  // namespace gpunn::io
