// Gathers rows of bytes, and asks for them early. Most rows are short (a label, ten features), where calling
// memcpy costs more than the copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace gpunn {

namespace detail {

// n from N to 2 N bytes: the first N and the last N, which may overlap.
template <std::size_t N>
void copy_rows_of(const std::byte* base, std::span<const std::int64_t> rows, std::size_t n, std::byte* to) {
  for (const std::int64_t row : rows) {
    const std::byte* from = base + static_cast<std::size_t>(row) * n;
    std::memcpy(to, from, N);
    std::memcpy(to + n - N, from + n - N, N);
    to += n;
  }
}

}  // namespace detail

// to[i] = row rows[i] of `base`, rows of row_bytes each. The two do not overlap.
inline void copy_rows(const std::byte* base, std::span<const std::int64_t> rows, std::size_t row_bytes,
                      std::byte* to) {
  if (row_bytes >= 4 && row_bytes <= 8) return detail::copy_rows_of<4>(base, rows, row_bytes, to);
  if (row_bytes > 8 && row_bytes <= 16) return detail::copy_rows_of<8>(base, rows, row_bytes, to);
  if (row_bytes > 16 && row_bytes <= 32) return detail::copy_rows_of<16>(base, rows, row_bytes, to);
  if (row_bytes > 32 && row_bytes <= 64) return detail::copy_rows_of<32>(base, rows, row_bytes, to);
  if (row_bytes == 0) return;
  for (const std::int64_t row : rows) {
    std::memcpy(to, base + static_cast<std::size_t>(row) * row_bytes, row_bytes);
    to += row_bytes;
  }
}

// Asks for these rows to be in the second-level cache soon: of long ones the beginning, after which
// processors see by themselves what comes next.
void prefetch_rows(const std::byte* base, std::span<const std::int64_t> rows, std::size_t row_bytes);

}  // namespace gpunn
