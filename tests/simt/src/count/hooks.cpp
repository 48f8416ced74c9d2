// A counting build compiles kernels with -fsanitize=thread but links this instead of ThreadSanitizer: the
// compiler's calls tell us every access, with its width, at the optimisation level where it still is the
// source's access.
#include <cstddef>
#include <cstdint>

#include "../access_log.hpp"

using simt::access_log::Kind;

namespace {
void note(const void* address, std::size_t bytes, Kind kind, const void* site) {
  simt::access_log::access(address, bytes, kind, reinterpret_cast<std::uintptr_t>(site));
}
}  // namespace

#define SITE __builtin_return_address(0)
#define ACCESS(width)                           \
  void __tsan_read##width(void* p) {            \
    note(p, width, Kind::load, SITE);           \
  }                                             \
  void __tsan_write##width(void* p) {           \
    note(p, width, Kind::store, SITE);          \
  }                                             \
  void __tsan_unaligned_read##width(void* p) {  \
    note(p, width, Kind::load, SITE);           \
  }                                             \
  void __tsan_unaligned_write##width(void* p) { \
    note(p, width, Kind::store, SITE);          \
  }
// Atomics themselves; the vocabulary has counted them.
#define ATOMIC(bits, type)                                                                            \
  type __tsan_atomic##bits##_load(const volatile type* p, int) {                                      \
    return __atomic_load_n(p, __ATOMIC_RELAXED);                                                      \
  }                                                                                                   \
  void __tsan_atomic##bits##_store(volatile type* p, type v, int) {                                   \
    __atomic_store_n(p, v, __ATOMIC_RELAXED);                                                         \
  }                                                                                                   \
  type __tsan_atomic##bits##_fetch_add(volatile type* p, type v, int) {                               \
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);                                                \
  }                                                                                                   \
  type __tsan_atomic##bits##_fetch_sub(volatile type* p, type v, int) {                               \
    return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED);                                                \
  }                                                                                                   \
  bool __tsan_atomic##bits##_compare_exchange_strong(volatile type* p, type* old, type v, int, int) { \
    return __atomic_compare_exchange_n(p, old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);         \
  }                                                                                                   \
  bool __tsan_atomic##bits##_compare_exchange_weak(volatile type* p, type* old, type v, int, int) {   \
    return __atomic_compare_exchange_n(p, old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);         \
  }

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void* caller) {
  simt::access_log::enter(caller);
}
void __tsan_func_exit() {
  simt::access_log::leave();
}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* p, std::size_t n) {
  note(p, n, Kind::load, SITE);
}
void __tsan_write_range(void* p, std::size_t n) {
  note(p, n, Kind::store, SITE);
}
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
ATOMIC(8, unsigned char)
ATOMIC(16, unsigned short)
ATOMIC(32, unsigned)
ATOMIC(64, unsigned long)

}  // extern "C"
