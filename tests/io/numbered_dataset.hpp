// A data set whose samples tell which they are.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "src/io/loader.hpp"

namespace gpunn {

// u8 pixels with a scale and an i64 target, both made from the sample's number. Not resident.
class NumberedDataset : public Dataset {
 public:
  explicit NumberedDataset(std::int64_t size) : size_(size) {}
  std::int64_t size() const override { return size_; }
  std::vector<Field> inputs() const override { return {{.shape = {3}, .dtype = Dtype::u8, .scale = 0.5f}}; }
  std::vector<Field> targets() const override { return {{.shape = {}, .dtype = Dtype::i64}}; }

  void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const override {
    ++reads;
    if (reads == failing_read) throw DataError("read failed");
    if (read_time.count() > 0) std::this_thread::sleep_for(read_time);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t k = 0; k < 3; ++k)
        fields[0][3 * i + k] = static_cast<std::byte>(rows[i] + static_cast<int>(k));
      std::memcpy(fields[1] + 8 * i, &rows[i], 8);
    }
  }

  mutable std::atomic<int> reads{0};
  int failing_read = 0;
  std::chrono::milliseconds read_time{0};

 private:
  std::int64_t size_;
};

// The samples of an epoch in the order of its batches; every element of every field is checked.
inline std::vector<std::int64_t> epoch(Loader& loader, std::uint32_t number) {
  std::vector<std::int64_t> samples;
  loader.start_epoch(number);
  std::int64_t index = 0;
  while (const Batch* batch = loader.next()) {
    EXPECT_EQ(batch->index, index++);
    const auto* pixels = reinterpret_cast<const float*>(batch->fields[0]);
    const auto* labels = reinterpret_cast<const std::int64_t*>(batch->fields[1]);
    for (std::int64_t i = 0; i < batch->size; ++i) {
      samples.push_back(labels[i]);
      for (int k = 0; k < 3; ++k) {
        EXPECT_EQ(pixels[3 * i + k], 0.5f * static_cast<float>(static_cast<std::uint8_t>(labels[i] + k)));
      }
    }
  }
  EXPECT_EQ(loader.next(), nullptr);
  return samples;
}

}  // namespace gpunn
