// Stands in for CUB's header of this name: cub::DeviceRadixSort::SortPairs on double buffers, as a stable
// sort in stream order. What CUB promises and nothing more: the result may be in either buffer, the other one
// and the temporary storage hold rubbish afterwards, and storage that is too small is an error.
#pragma once
#pragma GCC system_header  // as the toolkit's

#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

namespace cub {

template <class T>
struct DoubleBuffer {
  T* d_buffers[2];
  int selector = 0;
  DoubleBuffer(T* current, T* alternate) : d_buffers{current, alternate} {}
  T* Current() const { return d_buffers[selector]; }
  T* Alternate() const { return d_buffers[selector ^ 1]; }
};

struct DeviceRadixSort {
  template <class Key, class Value>
  static cudaError_t SortPairs(void* temporary, std::size_t& bytes, DoubleBuffer<Key>& keys,
                               DoubleBuffer<Value>& values, int count, int begin_bit, int end_bit,
                               cudaStream_t stream) {
    const std::size_t needed = 8192 + static_cast<std::size_t>(count) / 2;  // more than CUB 3.0 asks for
    if (temporary == nullptr) return bytes = needed, cudaSuccess;
    if (bytes < needed || count < 0 || begin_bit < 0 || end_bit > static_cast<int>(8 * sizeof(Key)))
      return cudaErrorInvalidValue;
    if (count == 0 || begin_bit == end_bit) return cudaSuccess;
    const auto mask = static_cast<Key>(static_cast<Key>(~Key{0}) >>
                                       (8 * sizeof(Key) - static_cast<unsigned>(end_bit - begin_bit)));
    // Each pass over 8 bits goes from one buffer to the other.
    const bool moves = (end_bit - begin_bit + 7) / 8 % 2 == 1;
    const auto sort = [=, n = static_cast<std::size_t>(count)] {
      const Key* k = keys.Current();
      const Value* v = values.Current();
      std::vector<std::pair<Key, Value>> pairs;
      for (std::size_t i = 0; i < n; ++i) pairs.emplace_back(k[i], v[i]);
      std::stable_sort(pairs.begin(), pairs.end(), [&](const auto& a, const auto& b) {
        return (a.first >> begin_bit & mask) < (b.first >> begin_bit & mask);
      });
      const int to = keys.selector ^ static_cast<int>(moves);
      for (std::size_t i = 0; i < n; ++i) {
        keys.d_buffers[to][i] = pairs[i].first, values.d_buffers[to][i] = pairs[i].second;
      }
      // Rubbish that looks right: nothing else stops who reads it.
      std::memset(keys.d_buffers[to ^ 1], 0, n * sizeof(Key));
      std::memset(values.d_buffers[to ^ 1], 0, n * sizeof(Value));
      std::memset(temporary, 0xFF, bytes);
    };
    if (const cudaError_t code = simt::enqueue(stream, sort); code != cudaSuccess) return code;
    if (moves) keys.selector ^= 1, values.selector ^= 1;
    return cudaSuccess;
  }
};

}  // namespace cub
