// UTF-8: where text is not, and replacing what is not.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gpunn::io {

// Bytes of the character that begins at text[0]; 0 when none does, and `broken` is then how many bytes are
// one piece of damage: the longest beginning of a character, else one byte (Unicode 15, table 3-8).
std::size_t utf8_length(std::string_view text, std::size_t& broken);

// The place of the first byte that belongs to no character; npos when all is UTF-8.
std::size_t find_invalid_utf8(std::string_view text);

// Every broken piece becomes U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

// "byte 17 (0xFF) is not UTF-8", counted from 1. REQUIRES: at < text.size().
std::string describe_invalid_utf8(std::string_view text, std::size_t at);

}  // namespace gpunn::io
