// Warp collectives: shuffles, votes, match, reduce. Values travel as 64-bit words through the executor, which
// knows who takes part; the rules of `mask` and `width` are those of the CUDA programming guide.
#pragma once

#include <cstdint>
#include <type_traits>

#include "simt/location.hpp"
#include "simt/sync.hpp"

namespace simt {

inline constexpr unsigned kFullMask = 0xffffffffu;

// Executor code and these helpers touch the executor's own memory, which TSan must not watch.
#define SIMT_UNWATCHED __attribute__((no_sanitize("thread")))

enum class Collective { barrier, shuffle, vote, match, reduce, matrix };

struct Lanes {
  std::uint64_t value[32];
  unsigned present;  // who brought a value
};

// Every lane of `mask` brings a value and sees all of them.
const Lanes& exchange(unsigned mask, std::uint64_t value, Collective kind, const Location& at);
unsigned lane();
unsigned active_mask();

template <class T>
std::uint64_t to_word(const T& value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "a shuffled value has at most 8 bytes");
  std::uint64_t word = 0;
  __builtin_memcpy(&word, &value, sizeof value);
  return word;
}

template <class T>
T from_word(std::uint64_t word) {
  T value;
  __builtin_memcpy(static_cast<void*>(&value), &word, sizeof value);
  return value;
}

template <class T>
SIMT_UNWATCHED T shuffle(unsigned mask, const T& value, unsigned source, const Location& at) {
  const Lanes& lanes = exchange(mask, to_word(value), Collective::shuffle, at);
  if (!(lanes.present >> source & 1)) fail("a shuffle reads from a lane that does not take part in it", at);
  return from_word<T>(lanes.value[source]);
}

// Sub-warps of `width` lanes; only the powers of two up to 32 are defined.
inline unsigned checked_width(int width, const Location& at) {
  if (width < 1 || width > 32 || (width & (width - 1)) != 0)
    fail("a shuffle's width is a power of two up to 32", at);
  return static_cast<unsigned>(width);
}

SIMT_UNWATCHED inline unsigned ballot(unsigned mask, bool predicate, const Location& at) {
  const Lanes& lanes = exchange(mask, predicate, Collective::vote, at);
  unsigned result = 0;
  for (unsigned i = 0; i < 32; ++i) {
    if (lanes.present >> i & 1 && lanes.value[i] != 0) result |= 1u << i;
  }
  return result;
}

template <class T, class Op>
SIMT_UNWATCHED T reduce(unsigned mask, T value, Op op, const Location& at) {
  const Lanes& lanes = exchange(mask, to_word(value), Collective::reduce, at);
  bool first = true;
  T result = value;
  for (unsigned i = 0; i < 32; ++i) {
    if (!(lanes.present >> i & 1)) continue;
    const T other = from_word<T>(lanes.value[i]);
    result = first ? other : op(result, other);
    first = false;
  }
  return result;
}

}  // namespace simt

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              simt::Location at = simt::Location::current()) {
  const unsigned w = simt::checked_width(width, at);
  return simt::shuffle(mask, value, (simt::lane() & ~(w - 1)) | (static_cast<unsigned>(source) & (w - 1)),
                       at);
}

// Out-of-range sources of up, down and xor give the caller its own value, as on hardware.
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 simt::Location at = simt::Location::current()) {
  const unsigned w = simt::checked_width(width, at), lane = simt::lane();
  return simt::shuffle(mask, value, (lane & (w - 1)) < delta ? lane : lane - delta, at);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   simt::Location at = simt::Location::current()) {
  const unsigned w = simt::checked_width(width, at), lane = simt::lane();
  return simt::shuffle(mask, value, delta >= w - (lane & (w - 1)) ? lane : lane + delta, at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  simt::Location at = simt::Location::current()) {
  const unsigned w = simt::checked_width(width, at), lane = simt::lane();
  // A lower sub-warp may be read, a higher one may not (the PTX rule: source <= last lane of the own
  // sub-warp).
  const unsigned source = lane ^ static_cast<unsigned>(lane_mask), last = lane | (w - 1);
  return simt::shuffle(mask, value, source > last ? lane : source, at);
}

inline unsigned __activemask() {
  return simt::active_mask();
}
inline unsigned __ballot_sync(unsigned mask, int predicate, simt::Location at = simt::Location::current()) {
  return simt::ballot(mask, predicate != 0, at);
}
inline int __any_sync(unsigned mask, int predicate, simt::Location at = simt::Location::current()) {
  return simt::ballot(mask, predicate != 0, at) != 0;
}
inline int __all_sync(unsigned mask, int predicate, simt::Location at = simt::Location::current()) {
  return simt::ballot(mask, predicate == 0, at) == 0;
}

template <class T>
SIMT_UNWATCHED unsigned __match_any_sync(unsigned mask, T value,
                                         simt::Location at = simt::Location::current()) {
  const simt::Lanes& lanes = simt::exchange(mask, simt::to_word(value), simt::Collective::match, at);
  unsigned result = 0;
  for (unsigned i = 0; i < 32; ++i) {
    if (lanes.present >> i & 1 && lanes.value[i] == simt::to_word(value)) result |= 1u << i;
  }
  return result;
}
template <class T>
unsigned __match_all_sync(unsigned mask, T value, int* all, simt::Location at = simt::Location::current()) {
  const unsigned same = __match_any_sync(mask, value, at);
  const unsigned present = simt::ballot(mask, true, at);
  *all = same == present;
  return *all ? present : 0;
}

inline unsigned __reduce_add_sync(unsigned mask, unsigned value,
                                  simt::Location at = simt::Location::current()) {
  return simt::reduce(
      mask, value, [](unsigned a, unsigned b) { return a + b; }, at);
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value,
                                  simt::Location at = simt::Location::current()) {
  return simt::reduce(
      mask, value, [](unsigned a, unsigned b) { return a < b ? a : b; }, at);
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value,
                                  simt::Location at = simt::Location::current()) {
  return simt::reduce(
      mask, value, [](unsigned a, unsigned b) { return a > b ? a : b; }, at);
}
inline int __reduce_add_sync(unsigned mask, int value, simt::Location at = simt::Location::current()) {
  return static_cast<int>(__reduce_add_sync(mask, static_cast<unsigned>(value), at));
}
inline int __reduce_min_sync(unsigned mask, int value, simt::Location at = simt::Location::current()) {
  return simt::reduce(
      mask, value, [](int a, int b) { return a < b ? a : b; }, at);
}
inline int __reduce_max_sync(unsigned mask, int value, simt::Location at = simt::Location::current()) {
  return simt::reduce(
      mask, value, [](int a, int b) { return a > b ? a : b; }, at);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value,
                                  simt::Location at = simt::Location::current()) {
  return simt::reduce(
      mask, value, [](unsigned a, unsigned b) { return a & b; }, at);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value,
                                 simt::Location at = simt::Location::current()) {
  return simt::reduce(
      mask, value, [](unsigned a, unsigned b) { return a | b; }, at);
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value,
                                  simt::Location at = simt::Location::current()) {
  return simt::reduce(
      mask, value, [](unsigned a, unsigned b) { return a ^ b; }, at);
}
