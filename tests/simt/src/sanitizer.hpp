// The sanitizers' hooks, weak: the executor is compiled once, without sanitizers, and serves builds with and
// without. (Instrumented, it would report its own switches.)
#pragma once

#include <cstddef>

extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, std::size_t size)
    __attribute__((weak));
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, std::size_t* size)
    __attribute__((weak));
void __asan_poison_memory_region(const volatile void*, std::size_t) __attribute__((weak));
void __asan_unpoison_memory_region(const volatile void*, std::size_t) __attribute__((weak));
void* __tsan_get_current_fiber() __attribute__((weak));
void* __tsan_create_fiber(unsigned flags) __attribute__((weak));
void __tsan_destroy_fiber(void*) __attribute__((weak));
void __tsan_switch_to_fiber(void*, unsigned flags) __attribute__((weak));
void __tsan_acquire(void*) __attribute__((weak));
void __tsan_release(void*) __attribute__((weak));
void AnnotateIgnoreReadsBegin(const char* file, int line) __attribute__((weak));
void AnnotateIgnoreReadsEnd(const char* file, int line) __attribute__((weak));
void AnnotateIgnoreWritesBegin(const char* file, int line) __attribute__((weak));
void AnnotateIgnoreWritesEnd(const char* file, int line) __attribute__((weak));
}

namespace simt {

inline bool under_asan() {
  return __asan_poison_memory_region != nullptr;
}
inline bool under_tsan() {
  return __tsan_create_fiber != nullptr;
}

// What the holder of a token did before release happens before what follows an acquire of it.
inline void release(void* token) {
  if (__tsan_release) __tsan_release(token);
}
inline void acquire(void* token) {
  if (__tsan_acquire) __tsan_acquire(token);
}

// While it lives, ThreadSanitizer does not watch this host thread: the runtime's own bookkeeping, which its
// invisible lock orders. Streams and CUDA threads have identities of their own and stay watched.
class Unwatched {
 public:
  Unwatched() {
    if (AnnotateIgnoreReadsBegin) AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    if (AnnotateIgnoreWritesBegin) AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unwatched() {
    if (AnnotateIgnoreWritesEnd) AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    if (AnnotateIgnoreReadsEnd) AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;
};

inline void close_memory(const void* p, std::size_t n) {
  if (__asan_poison_memory_region) __asan_poison_memory_region(p, n);
}
inline void open_memory(const void* p, std::size_t n) {
  if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(p, n);
}

// Fills memory with NaNs, unseen by the sanitizers, whose memset would take it for the program's own write.
inline void poison_bytes(void* memory, std::size_t n) {
  auto* p = static_cast<unsigned char*>(memory);
  const auto* end = p + n;
#if defined(__x86_64__)
  void* to = p;
  std::size_t count = static_cast<std::size_t>(end - p);
  asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0xff) : "memory");
#else
  for (volatile unsigned char* q = p; q != end; ++q) *q = 0xff;
#endif
}

// Copies unseen by the sanitizers.
inline void copy_unseen(void* to, const void* from, std::size_t n) {
  auto* d = static_cast<volatile unsigned char*>(to);
  const auto* s = static_cast<const volatile unsigned char*>(from);
  for (std::size_t i = 0; i < n; ++i) d[i] = s[i];
}

}  // namespace simt
