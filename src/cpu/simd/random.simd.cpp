#include "src/cpu/simd/random.hpp"

#include "src/cpu/simd/transpose.hpp"
#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

struct Wide {
  VecU high, low;
};

// All lanes of a * m in 64 bits.
GPUNN_INLINE Wide multiply_wide(VecU a, uint32_t m) {
#if GPUNN_LANES > 4
#if GPUNN_LANES == 16
  const __m512i factor = _mm512_set1_epi32(static_cast<int>(m));
  const VecU even = (VecU)_mm512_maskz_mul_epu32(0xff, (__m512i)a, factor);
  const VecU odd = (VecU)_mm512_maskz_mul_epu32(0xff, _mm512_maskz_srli_epi64(0xff, (__m512i)a, 32), factor);
  const VecI upper = iota() & 1;
#else
  const __m256i factor = _mm256_set1_epi32(static_cast<int>(m));
  const VecU even = (VecU)_mm256_mul_epu32((__m256i)a, factor);
  const VecU odd = (VecU)_mm256_mul_epu32(_mm256_srli_epi64((__m256i)a, 32), factor);
  const VecI upper = iota() & 1;
#endif
  typedef uint64_t Pairs __attribute__((vector_size(4 * GPUNN_LANES)));
  const VecU even_high = (VecU)((Pairs)even >> 32), odd_low = (VecU)((Pairs)odd << 32);
  return {upper != 0 ? odd : even_high, upper != 0 ? odd_low : even};
#else
  Wide w;
  GPUNN_UNROLL
  for (int i = 0; i < kLanes; ++i) {
    const uint64_t product = uint64_t{a[i]} * m;
    w.high[i] = static_cast<uint32_t>(product >> 32), w.low[i] = static_cast<uint32_t>(product);
  }
  return w;
#endif
}

// uniform01 of the 4 kLanes elements from 4 * block: lane l of a Philox vector is block + l.
GPUNN_INLINE void uniform_blocks(const PhiloxKey& key, uint64_t block, float* out) {
  const auto low = static_cast<uint32_t>(block);
  VecU c0 = (VecU)iota() + low;
  VecU c1 = VecU{} + static_cast<uint32_t>(block >> 32);
  c1 -= (VecU)(c0 < low);  // carry: a true lane is -1
  VecU c2 = VecU{} + key.step, c3 = VecU{} + key.stream;
  auto k0 = static_cast<uint32_t>(key.seed), k1 = static_cast<uint32_t>(key.seed >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
    const Wide p0 = multiply_wide(c0, 0xD2511F53), p1 = multiply_wide(c2, 0xCD9E8D57);
    c0 = p1.high ^ c1 ^ k0, c2 = p0.high ^ c3 ^ k1;
    c1 = p1.low, c3 = p0.low;
  }
  const auto uniform = [](VecU word) { return __builtin_convertvector((VecI)(word >> 8), Vec) * 0x1p-24f; };
  // Elements lie word by word within a block: a transpose of four vectors.
  const Vec w0 = uniform(c0), w1 = uniform(c1), w2 = uniform(c2), w3 = uniform(c3);
  const Vec low01 = zip_low(w0, w1), high01 = zip_high(w0, w1), low23 = zip_low(w2, w3),
            high23 = zip_high(w2, w3);
  const Vec quarter[4] = {zip_low_pairs(low01, low23), zip_high_pairs(low01, low23),
                          zip_low_pairs(high01, high23), zip_high_pairs(high01, high23)};
  // 128-bit block q of quarter[j] is Philox block 4q + j.
  GPUNN_UNROLL
  for (int j = 0; j < 4; ++j) {
    float lane[kLanes];
    store(lane, quarter[j]);
    GPUNN_UNROLL
    for (int q = 0; q < kLanes / 4; ++q) __builtin_memcpy(out + (4 * q + j) * 4, lane + 4 * q, 16);
  }
}

constexpr int kElements = 4 * kLanes;  // of uniform_blocks

// f(i, u, count): u[0 .. count) are the numbers of elements first + i ...
template <class F>
GPUNN_INLINE void for_uniform(const PhiloxKey& key, uint64_t first, int64_t n, F f) {
  float u[kElements];
  int64_t i = 0;
  for (uint64_t skip = first % 4, block = first / 4; i < n; block += kLanes, skip = 0) {
    uniform_blocks(key, block, u);
    const int64_t have = kElements - static_cast<int64_t>(skip), count = have < n - i ? have : n - i;
    f(i, u + skip, count);
    i += count;
  }
}

void uniform(const PhiloxKey& key, uint64_t first, int64_t n, float* out) {
  for_uniform(key, first, n, [=](int64_t i, const float* u, int64_t count) {
    for_vectors(count, [=](int64_t j, auto part) { store(out + i + j, load(u + j, part), part); });
  });
}

void dropout(const PhiloxKey& key, uint64_t first, float rate, int64_t n, const float* x, float* y,
             bool add) {
  const float scale = 1.0f / (1.0f - rate);
  for_uniform(key, first, n, [=](int64_t i, const float* u, int64_t count) {
    for_vectors(count, [=](int64_t j, auto part) {
      const Vec kept = load(u + j, part) >= rate ? scale * load(x + i + j, part) : Vec{};
      store(y + i + j, add ? load(y + i + j, part) + kept : kept, part);
    });
  });
}

// What src/core/random.cpp calls shifted(x, below(end, other, key), end). REQUIRES: end < 2^31
GPUNN_INLINE VecU shift_by(VecU x, VecU other, uint32_t key, uint32_t end) {
  VecU mixed = (other ^ key) * 0x9E3779B1u;
  mixed = (mixed ^ (mixed >> 15)) * 0x85EBCA77u;
  const VecU sum = x + multiply_wide(mixed, end).high, wrapped = sum - end;
  return sum < wrapped ? sum : wrapped;
}

int64_t permute(const Permutation::Network& network, uint64_t first, int64_t count, int64_t* to) {
  constexpr uint64_t kEnd = uint64_t{1} << 31;
  const uint64_t columns = network.columns;
  if (network.rows >= kEnd || columns >= kEnd || columns < kLanes) return 0;
  const auto height = static_cast<uint32_t>(network.rows), width = static_cast<uint32_t>(columns);
  uint64_t first_row = first / columns, first_column = first % columns;
  int64_t k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    VecU column = (VecU)iota() + static_cast<uint32_t>(first_column);
    const VecI next_row = column >= width;  // a true lane is -1
    VecU row = static_cast<uint32_t>(first_row) - (VecU)next_row;
    column -= (VecU)next_row & width;
    for (int round = 0; round < 6; round += 2) {
      column = shift_by(column, row, network.keys[round], width);
      row = shift_by(row, column, network.keys[round + 1], height);
    }
    GPUNN_UNROLL
    for (int l = 0; l < kLanes; ++l) to[k + l] = static_cast<int64_t>(row[l] * columns + column[l]);
    first_column += kLanes;
    if (first_column >= columns) first_column -= columns, ++first_row;
  }
  return k;
}

}  // namespace

const RandomKernels GPUNN_SIMD_NAME(random_table) = {
    .uniform = uniform, .dropout = dropout, .permute = permute};

}  // namespace gpunn::cpu::simd
