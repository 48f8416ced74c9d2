// CRC-32C (Castagnoli): the checksum that processors compute in hardware.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gpunn::io {

// Of all bytes so far: start with 0, pass the result back in for the next part.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0);

namespace detail {
std::uint32_t crc32c_by_table(std::span<const std::byte> bytes,
                              std::uint32_t before);  // what runs without the instruction
}

}  // namespace gpunn::io
