#include "src/core/copy_rows.hpp"

namespace gpunn {

// Not inline: g++ 12 takes an inline function that only prefetches for one without an effect and drops its
// calls.
void prefetch_rows(const std::byte* base, std::span<const std::int64_t> rows, std::size_t row_bytes) {
  constexpr std::size_t kLine = 64, kMost = 4 * kLine;
  if (row_bytes == 0) return;
  const std::size_t last = (row_bytes < kMost ? row_bytes : kMost) - 1;
  for (const std::int64_t row : rows) {
    const std::byte* at = base + static_cast<std::size_t>(row) * row_bytes;
    for (std::size_t i = 0; i < last; i += kLine) __builtin_prefetch(at + i, 0, 2);
    __builtin_prefetch(at + last, 0, 2);
  }
}

}  // namespace gpunn
