#include "src/core/host_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "gpunn/error.hpp"
#include "src/core/text.hpp"

namespace gpunn {
namespace {

// Large blocks ask for pages of this size: an arena that is walked from end to end has more pages of 4 KiB
// than a core knows the addresses of, and two GRUs over 800 steps lost a tenth to looking them up.
constexpr std::size_t kHugePage = 2 << 20;

std::atomic<std::int64_t> request_count{0};
std::atomic<std::int64_t> failing_request{0};
std::atomic<std::int64_t> live_blocks{0};

}  // namespace

void* allocate_host(std::size_t bytes, std::string_view purpose, std::size_t alignment) {
  const std::int64_t request = request_count.fetch_add(1, std::memory_order_relaxed) + 1;
  const bool injected = request == failing_request.load(std::memory_order_relaxed);
  const bool large = bytes >= kHugePage;
  if (large) alignment = std::max(alignment, kHugePage);
  const std::size_t padded =
      (bytes + alignment - 1) / alignment * alignment;  // aligned_alloc wants a multiple
  void* memory =
      injected || padded < bytes ? nullptr : std::aligned_alloc(alignment, padded == 0 ? alignment : padded);
  if (memory == nullptr) {
    throw OutOfMemory(cat("out of host memory: ", bytes, " bytes asked for ", purpose), bytes);
  }
  if (large) static_cast<void>(madvise(memory, padded, MADV_HUGEPAGE));  // a system may have none
  live_blocks.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

void deallocate_host(void* memory) noexcept {
  if (memory == nullptr) return;
  live_blocks.fetch_sub(1, std::memory_order_relaxed);
  std::free(memory);
}

std::shared_ptr<std::byte> allocate_host_shared(std::size_t bytes, std::string_view purpose) {
  void* memory = allocate_host(bytes, purpose);
  if (bytes > 0) std::memset(memory, 0, bytes);
  return {static_cast<std::byte*>(memory), [](std::byte* p) { deallocate_host(p); }};
}

HostMemoryFault::HostMemoryFault(std::int64_t fail_at) {
  request_count = 0;
  failing_request = fail_at;
}

HostMemoryFault::~HostMemoryFault() {
  failing_request = 0;
}

std::int64_t HostMemoryFault::requests() const {
  return request_count.load();
}

std::int64_t live_host_blocks() {
  return live_blocks.load();
}

}  // namespace gpunn
