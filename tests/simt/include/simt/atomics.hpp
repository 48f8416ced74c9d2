// Atomics: relaxed, as CUDA's are, so that they order nothing else (a fence does). All scopes are one scope
// here.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "simt/location.hpp"

namespace simt {

void note_atomic(const void* address, unsigned bytes);  // for the counters

template <class T>
concept AtomicInteger =
    std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long> ||
    std::is_same_v<T, long long> || std::is_same_v<T, unsigned long> || std::is_same_v<T, long>;

template <class T>
using word_of = std::conditional_t<sizeof(T) == 2, unsigned short,
                                   std::conditional_t<sizeof(T) == 4, unsigned, unsigned long long>>;

// *address = f(*address) in one step; the old value. Any type of 2, 4 or 8 bytes.
template <class T, class F>
T atomic_update(T* address, F f) {
  using Word = word_of<T>;
  static_assert(sizeof(T) == sizeof(Word));
  note_atomic(address, sizeof(T));
  auto* word = reinterpret_cast<Word __attribute__((may_alias))*>(address);
  Word seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    T old;
    __builtin_memcpy(static_cast<void*>(&old), &seen, sizeof old);
    const T next = f(old);
    Word wanted;
    __builtin_memcpy(&wanted, &next, sizeof wanted);
    if (__atomic_compare_exchange_n(word, &seen, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      return old;
  }
}

}  // namespace simt

template <simt::AtomicInteger T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  simt::note_atomic(address, sizeof(T));
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
template <simt::AtomicInteger T>
T atomicSub(T* address, std::type_identity_t<T> value) {
  simt::note_atomic(address, sizeof(T));
  return __atomic_fetch_sub(address, value, __ATOMIC_RELAXED);
}
inline float atomicAdd(float* address, float value) {
  return simt::atomic_update(address, [=](float old) { return old + value; });
}
inline double atomicAdd(double* address, double value) {
  return simt::atomic_update(address, [=](double old) { return old + value; });
}
inline __half atomicAdd(__half* address, __half value) {
  return simt::atomic_update(address, [=](__half old) { return __hadd(old, value); });
}
inline __nv_bfloat16 atomicAdd(__nv_bfloat16* address, __nv_bfloat16 value) {
  return simt::atomic_update(address, [=](__nv_bfloat16 old) { return __hadd(old, value); });
}
// Pairs are two atomics side by side, not one: nobody may rely on both halves changing together.
inline __half2 atomicAdd(__half2* address, __half2 value) {
  auto* half = reinterpret_cast<__half*>(address);
  const __half low = atomicAdd(half, __low2half(value));
  return __halves2half2(low, atomicAdd(half + 1, __high2half(value)));
}
inline __nv_bfloat162 atomicAdd(__nv_bfloat162* address, __nv_bfloat162 value) {
  auto* half = reinterpret_cast<__nv_bfloat16*>(address);
  const __nv_bfloat16 low = atomicAdd(half, __low2bfloat16(value));
  return __halves2bfloat162(low, atomicAdd(half + 1, __high2bfloat16(value)));
}

template <simt::AtomicInteger T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T old) { return old > value ? old : value; });
}
template <simt::AtomicInteger T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T old) { return old < value ? old : value; });
}
template <simt::AtomicInteger T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T old) { return old & value; });
}
template <simt::AtomicInteger T>
T atomicOr(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T old) { return old | value; });
}
template <simt::AtomicInteger T>
T atomicXor(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T old) { return old ^ value; });
}
inline unsigned atomicInc(unsigned* address, unsigned limit) {
  return simt::atomic_update(address, [=](unsigned old) { return old >= limit ? 0u : old + 1; });
}
inline unsigned atomicDec(unsigned* address, unsigned limit) {
  return simt::atomic_update(address,
                             [=](unsigned old) { return old == 0 || old > limit ? limit : old - 1; });
}
template <class T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return simt::atomic_update(address, [=](T) { return value; });
}
template <class T>
requires(simt::AtomicInteger<T> || std::is_same_v<T, unsigned short>) T
    atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> desired) {
  simt::note_atomic(address, sizeof(T));
  __atomic_compare_exchange_n(address, &expected, desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}

template <class T, class V>
T atomicAdd_block(T* address, V value) {
  return atomicAdd(address, value);
}
template <class T, class V>
T atomicAdd_system(T* address, V value) {
  return atomicAdd(address, value);
}
