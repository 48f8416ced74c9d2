// Wide loads and stores: one instruction moves a Pack where its alignment permits.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/hd.hpp"

namespace gpunn::kernels {

template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T v[kCount];
};

template <int kCount, class T>
__device__ inline Pack<T, kCount> load(const T* p) {
  return *reinterpret_cast<const Pack<T, kCount>*>(p);
}

template <int kCount, class T>
__device__ inline void store(T* p, const Pack<T, kCount>& pack) {
  *reinterpret_cast<Pack<T, kCount>*>(p) = pack;
}

// Whether packs of four can be moved at all of these addresses. Null counts as aligned: an operand left out.
template <class... T>
bool packs_of_four(const T*... p) {
  return ((reinterpret_cast<std::uintptr_t>(p) % (4 * sizeof(T)) == 0) && ...);
}

}  // namespace gpunn::kernels
