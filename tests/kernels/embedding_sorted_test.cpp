// The gradient of an embedding's table by sorted ids, and CUB's stand-in that it runs on here.
#include "kernels/embedding_sorted.hpp"

#include <algorithm>
#include <cub/device/device_radix_sort.cuh>

#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

using Ids = std::vector<std::int32_t>;

Floats sorted_gradient(const EmbeddingShape& s, Accumulate mode, const Ids& ids, const Floats& dy,
                       const Floats& old_table) {
  return everywhere([&](const Way& way) {
    Array<std::int32_t> id(way, ids);
    Array<float> flow(way, dy), dtable(way, old_table);
    Array<std::byte> scratch(Way{way.gpu, 0}, embedding_sorted_scratch(s));
    embedding_backward_sorted(way.gpu, s, mode, id, flow, dtable, scratch);
    return dtable.read();
  });
}

// What the header promises, bit by bit: positions in the order of their ids, cut every kSortedChunk; parts in
// their order.
Floats promised(const EmbeddingShape& s, Accumulate mode, const Ids& ids, const Floats& dy,
                const Floats& old_table) {
  Ids order(ids.size());
  std::iota(order.begin(), order.end(), 0);
  const auto id_at = [&](std::int32_t p) { return ids[static_cast<std::size_t>(p)]; };
  const auto key_at = [&](std::int32_t p) { return id_at(p) < 0 || id_at(p) >= s.rows ? s.rows : id_at(p); };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return key_at(a) < key_at(b); });
  Floats table = mode == Accumulate::add ? old_table : Floats(old_table.size(), 0.0f);
  const auto columns = static_cast<std::size_t>(s.columns), chunk = static_cast<std::size_t>(kSortedChunk);
  for (std::size_t c = 0; c < columns; ++c) {
    for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
      while (end < order.size() && key_at(order[end]) == key_at(order[begin])) ++end;
      if (key_at(order[begin]) == s.rows) continue;
      float& sum = table[static_cast<std::size_t>(id_at(order[begin])) * columns + c];
      float part = sum;
      for (std::size_t k = begin; k < end; ++k) {
        part += dy[static_cast<std::size_t>(order[k]) * columns + c];
        if ((k + 1) % chunk != 0 && k + 1 != end) continue;
        sum = k / chunk == begin / chunk ? part : sum + part;
        part = 0;
      }
    }
  }
  return table;
}

TEST(EmbeddingSortedTest, SumsRunsInTheirOrder) {
  const EmbeddingShape shapes[] = {{0, 4, 3},       {1, 1, 1},      {63, 3, 5},    {64, 2, 1},
                                   {65, 33, 9},     {129, 1, 2},    {600, 5, 7},   {1100, 2, 1},
                                   {130, 2, 1000},  {300, 257, 40}, {700, 3, 255}, {700, 3, 256},
                                   {500, 1, 66000}, {192, 3, 1}};
  for (const EmbeddingShape& s : shapes) {
    if (kSmallTests && s.rows * s.columns > 2000) continue;
    Ids ids = integers(s.positions, static_cast<std::int32_t>(s.rows));
    if (s.positions > 50) ids[5] = -1, ids[40] = static_cast<std::int32_t>(s.rows), ids[41] = INT32_MAX;
    const Floats dy = uniform(s.positions * s.columns, -1, 1, 2);
    for (const Accumulate mode : kModes) {
      const Floats old_table = before(mode, static_cast<std::size_t>(s.rows * s.columns));
      const Floats got = sorted_gradient(s, mode, ids, dy, old_table);
      ASSERT_EQ(got, promised(s, mode, ids, dy, old_table)) << s.positions << " " << s.rows;
      Doubles want;
      for (std::size_t i = 0; i < old_table.size(); ++i) want.push_back(old(mode, old_table, i));
      for (std::size_t i = 0; i < dy.size(); ++i) {
        const auto columns = static_cast<std::size_t>(s.columns), p = i / columns;
        if (ids[p] >= 0 && ids[p] < s.rows)
          want[static_cast<std::size_t>(ids[p]) * columns + i % columns] += dy[i];
      }
      expect_near(got, want, 1e-5, 1e-5);
    }
  }
}

// Every id fills a chunk, so that no sum is cut: then both ways add in one order.
TEST(EmbeddingSortedTest, UncutRunsHaveTheBitsOfTheOtherWay) {
  const EmbeddingShape s{.positions = 12 * kSortedChunk, .columns = 7, .rows = 13};
  Ids ids(static_cast<std::size_t>(s.positions));
  for (std::size_t p = 0; p < ids.size(); ++p) ids[p] = static_cast<std::int32_t>(p * 5 % 12);
  const Floats dy = uniform(s.positions * s.columns, -1, 1);
  for (const Accumulate mode : kModes) {
    const Floats old_table = before(mode, static_cast<std::size_t>(s.rows * s.columns));
    const Floats other = everywhere([&](const Way& way) {
      Array<std::int32_t> id(way, ids);
      Array<float> flow(way, dy), dtable(way, old_table);
      embedding_backward(way.gpu, s, mode, id, flow, dtable);
      return dtable.read();
    });
    ASSERT_EQ(sorted_gradient(s, mode, ids, dy, old_table), other);
  }
}

// One run up to the last key; behind it stands rubbish, equal to the row.
TEST(EmbeddingSortedTest, NothingBehindTheLastChunkIsRead) {
  const EmbeddingShape s{.positions = 2 * kSortedChunk, .columns = 3, .rows = 2};
  const Ids ids(static_cast<std::size_t>(s.positions), 0);
  const Floats dy = uniform(s.positions * s.columns, -1, 1), old_table(6, NAN);
  ASSERT_EQ(sorted_gradient(s, Accumulate::overwrite, ids, dy, old_table),
            promised(s, Accumulate::overwrite, ids, dy, old_table));
}

TEST(EmbeddingSortedTest, NaNSpoilsItsIdOnly) {
  const EmbeddingShape s{.positions = 400, .columns = 2, .rows = 3};
  Ids ids = integers(s.positions, 3);
  Floats dy = uniform(s.positions * s.columns, -1, 1);
  ids[7] = 1, dy[14] = NAN;                 // column 0 of id 1
  ids[9] = -1, dy[18] = NAN, dy[19] = NAN;  // belongs to no id
  const Floats got = sorted_gradient(s, Accumulate::overwrite, ids, dy, Floats(6, NAN));
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(std::isnan(got[i]), i == 2) << i;
}

TEST(EmbeddingSortedTest, IsForManyIds) {
  EXPECT_FALSE(embedding_is_sorted({kSortedPositions - 1, 64, 10'000}));
  EXPECT_TRUE(embedding_is_sorted({kSortedPositions, 64, 10'000}));
  EXPECT_FALSE(embedding_is_sorted({std::int64_t{1} << 31, 64, 10'000}));
  EXPECT_EQ(embedding_sorted_launches({1, 1, 255}), 6);
  EXPECT_EQ(embedding_sorted_launches({1, 1, 256}), 7);  // the key of ids outside needs a ninth bit
  for (const EmbeddingShape& s :
       {EmbeddingShape{std::int64_t{1} << 31, 1, 1}, EmbeddingShape{1, 1, INT32_MAX}}) {
    EXPECT_FALSE(embedding_is_sorted(s));
    EXPECT_THROW(embedding_backward_sorted({}, s, Accumulate::add, nullptr, nullptr, nullptr, nullptr),
                 UsageError);
  }
}

TEST(RadixSortTest, TheStandInKeepsTheRules) {
  everywhere([](const Way& way) {
    Array<std::uint32_t> a(way, {0x102, 0x101, 0x002, 0x103, 0x001}), b(way, 5);
    Array<std::int32_t> v(way, {0, 1, 2, 3, 4}), w(way, 5);
    cub::DoubleBuffer<std::uint32_t> keys(a, b);
    cub::DoubleBuffer<std::int32_t> values(v, w);
    const auto stream = static_cast<cudaStream_t>(way.gpu.stream);
    std::size_t needed = 0;
    EXPECT_EQ(cub::DeviceRadixSort::SortPairs(nullptr, needed, keys, values, 5, 0, 8, stream), cudaSuccess);
    EXPECT_GT(needed, 0u);
    Array<std::byte> temporary(way, needed);
    std::size_t less = needed - 1;
    EXPECT_EQ(cub::DeviceRadixSort::SortPairs(temporary, less, keys, values, 5, 0, 8, stream),
              cudaErrorInvalidValue);
    EXPECT_EQ(cub::DeviceRadixSort::SortPairs(temporary, needed, keys, values, 5, 0, 8, stream), cudaSuccess);
    EXPECT_EQ(values.Current(), w.data());      // one pass: in the other buffer
    EXPECT_EQ(w.read(), (Ids{1, 4, 0, 2, 3}));  // by the low byte alone, equal ones as they were
    EXPECT_EQ(a.read(), std::vector<std::uint32_t>(5, 0));
    EXPECT_EQ(v.read(), Ids(5, 0));
    return Floats{};
  });
}

}  // namespace
}  // namespace gpunn::kernels
