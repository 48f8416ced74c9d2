// Where every byte of host memory that the library asks for in bulk comes from: tensors, arenas, caches.
// Tests make the k-th request fail here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace gpunn {

inline constexpr std::size_t kHostAlignment = 64;  // a cache line, and the widest vector register

// Throws OutOfMemory naming `purpose`. Zero bytes are legal.
void* allocate_host(std::size_t bytes, std::string_view purpose, std::size_t alignment = kHostAlignment);
void deallocate_host(void* memory) noexcept;

// Zeroed.
std::shared_ptr<std::byte> allocate_host_shared(std::size_t bytes, std::string_view purpose);

// Test seam. While one of these lives, request number `fail_at` (from 1; 0 = none) made anywhere fails, once.
class HostMemoryFault {
 public:
  explicit HostMemoryFault(std::int64_t fail_at);
  ~HostMemoryFault();
  HostMemoryFault(const HostMemoryFault&) = delete;
  HostMemoryFault& operator=(const HostMemoryFault&) = delete;

  std::int64_t requests() const;  // seen since construction
};

// Blocks handed out and not yet returned; tests compare it before and after.
std::int64_t live_host_blocks();

}  // namespace gpunn
