#include "src/train/path_pattern.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "gpunn/error.hpp"
#include "src/core/text.hpp"

namespace gpunn::train {
namespace {

constexpr std::string_view kEpoch = "epoch";
constexpr std::string_view kDigits = "0123456789";

// Takes the digits at the front of `text`; at most two, so that a width cannot be absurd.
std::string take_digits(std::string_view& text) {
  std::size_t n = 0;
  while (n < 2 && n < text.size() && kDigits.find(text[n]) != std::string_view::npos) ++n;
  std::string digits(text.substr(0, n));
  text.remove_prefix(n);
  return digits;
}

template <class T>
std::string printed(const std::string& format, T value) {
  char text[512];  // the largest double has 309 digits before the point
  const int length = std::snprintf(text, sizeof text, format.c_str(), value);
  return std::string(text, static_cast<std::size_t>(length));
}

// The fewest digits that say which number it is.
std::string shortest(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

}  // namespace

PathPattern::PathPattern(std::string_view pattern) : pattern_(pattern) {
  std::string literal;
  while (!pattern.empty()) {
    const char c = pattern.front();
    if (c != '{' && c != '}') {
      literal += c;
      pattern.remove_prefix(1);
    } else if (pattern.size() > 1 && pattern[1] == c) {
      literal += c;
      pattern.remove_prefix(2);
    } else {
      const std::size_t end = pattern.find('}');
      if (c == '}' || end == std::string_view::npos)
        throw UsageError(
            cat("ModelCheckpoint: '", pattern_, "': a brace stands alone; write it twice if it is meant"));
      pieces_.push_back({literal});
      literal.clear();
      pieces_.push_back(gap(pattern.substr(1, end - 1)));
      pattern.remove_prefix(end + 1);
    }
  }
  pieces_.push_back({literal});
}

PathPattern::Piece PathPattern::gap(std::string_view inside) const {
  const std::size_t colon = std::min(inside.find(':'), inside.size());
  Piece piece{.text = {}, .name = std::string(inside.substr(0, colon))};
  std::string_view how = inside.substr(colon);
  const auto understood = [&](bool yes) {
    if (!yes)
      throw UsageError(
          cat("ModelCheckpoint: '", pattern_, "': {", inside, "} is not of the form {name:.2f}"));
  };
  understood(!piece.name.empty() && piece.name.find('{') == std::string::npos);
  if (how.empty() && piece.name != kEpoch) return piece;
  if (!how.empty()) how.remove_prefix(1);
  std::string format = "%" + take_digits(how);
  if (!how.empty() && how.front() == '.') {
    how.remove_prefix(1);
    const std::string digits = take_digits(how);
    understood(!digits.empty());
    format += "." + digits;
  }
  // As in Python a width needs no letter where the number is whole.
  piece.integer = how == "d" || (how.empty() && piece.name == kEpoch);
  understood(piece.integer ? piece.name == kEpoch && format.find('.') == std::string::npos
                           : how == "e" || how == "f" || how == "g");
  piece.text = format + (piece.integer ? "lld" : std::string(how));
  return piece;
}

std::string PathPattern::fill(std::int64_t epoch, const Logs& logs) const {
  std::string path;
  for (const Piece& piece : pieces_) {
    if (piece.name.empty()) {
      path += piece.text;
    } else if (piece.integer) {
      path += printed(piece.text, static_cast<long long>(epoch));
    } else {
      if (piece.name != kEpoch && !logs.contains(piece.name))
        throw UsageError(cat("ModelCheckpoint: '", pattern_, "': the logs have no '", piece.name, "'"));
      const double value = piece.name == kEpoch ? static_cast<double>(epoch) : logs[piece.name];
      path += piece.text.empty() ? shortest(value) : printed(piece.text, value);
    }
  }
  return path;
}

}  // namespace gpunn::train
