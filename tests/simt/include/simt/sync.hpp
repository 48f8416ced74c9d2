// Barriers and fences.
#pragma once

#include "simt/location.hpp"

namespace simt {

enum class Reduce { count, all, any };

// Waits for every thread of the block; the reduction of `predicate` over them.
int block_barrier(int predicate, Reduce reduce, const Location& at);
void warp_barrier(unsigned mask, const Location& at);

enum class Scope { block, device };
void fence(Scope scope);

void* dynamic_shared();

// Stops the launch with a report that names the kernel, the thread and `at`. Never returns to the kernel.
[[noreturn]] void fail(const char* what, const Location& at);

}  // namespace simt

inline void __syncthreads(simt::Location at = simt::Location::current()) {
  simt::block_barrier(0, simt::Reduce::count, at);
}
inline int __syncthreads_count(int predicate, simt::Location at = simt::Location::current()) {
  return simt::block_barrier(predicate, simt::Reduce::count, at);
}
inline int __syncthreads_and(int predicate, simt::Location at = simt::Location::current()) {
  return simt::block_barrier(predicate, simt::Reduce::all, at);
}
inline int __syncthreads_or(int predicate, simt::Location at = simt::Location::current()) {
  return simt::block_barrier(predicate, simt::Reduce::any, at);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, simt::Location at = simt::Location::current()) {
  simt::warp_barrier(mask, at);
}

inline void __threadfence_block() {
  simt::fence(simt::Scope::block);
}
inline void __threadfence() {
  simt::fence(simt::Scope::device);
}
inline void __threadfence_system() {
  simt::fence(simt::Scope::device);
}

[[noreturn]] inline void __trap(simt::Location at = simt::Location::current()) {
  simt::fail("__trap()", at);
}
