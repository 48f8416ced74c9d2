// A step allocates nothing: a fit of a thousand steps asks for memory as often as one of ten.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "src/core/host_memory.hpp"
#include "tests/train/helpers.hpp"

namespace {
std::atomic<std::int64_t> news{0};
}

// Counts all of the process; malloc under it stays visible to sanitizers. Not inlined, or compilers see new
// and free meet and take them for a mistake.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++news;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++news;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace gpunn {
namespace {

struct Requests {
  std::int64_t news = 0, host = 0;
};

Requests requests_of_fit(Model& model, const DatasetPtr& data) {
  const HostMemoryFault counter(0);
  const std::int64_t before = news;
  model.fit(data, quietly({}));
  return {news - before, counter.requests()};
}

TEST(Allocation, AStepAllocatesNothing) {
  const DatasetPtr few = table(320).dataset(), many = table(32000).dataset();
  for (const int threads : {1, 2}) {
    Sequential model = compiled_ffn({.threads = threads});
    requests_of_fit(model, few);  // plans and binds
    const Requests ten = requests_of_fit(model, few), thousand = requests_of_fit(model, many);
    EXPECT_GT(ten.news, 0);  // it does count
    EXPECT_EQ(ten.news, thousand.news) << threads;
    EXPECT_EQ(ten.host, thousand.host) << threads;
  }
}

}  // namespace
}  // namespace gpunn
