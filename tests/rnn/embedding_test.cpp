#include <set>

#include "tests/rnn/rnn_run.hpp"

namespace gpunn::cpu::simd {
namespace {

class EmbeddingTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    set_ = kernels_for(GetParam());
    if (!set_) GTEST_SKIP() << "this processor lacks the instruction set";
  }
  const EmbeddingKernels& embedding() const { return set_->embedding; }

 private:
  const Kernels* set_ = nullptr;
};

std::vector<std::int32_t> random_ids(std::int64_t count, std::int32_t vocabulary) {
  std::mt19937 bits(3);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  for (auto& id : ids) id = static_cast<std::int32_t>(bits() % static_cast<unsigned>(vocabulary));
  return ids;
}

EmbeddingIds view(const std::vector<std::int32_t>& ids) {
  return {ids.data(), static_cast<std::int64_t>(ids.size())};
}

TEST_P(EmbeddingTest, GathersRows) {
  constexpr std::int64_t kVocabulary = 11;
  for (const std::int64_t width : {1, 3, 4, 8, 15, 16, 17, 64}) {
    const auto ids = random_ids(37, kVocabulary);
    std::mt19937 bits(1);
    Buffer table(random_numbers(bits, kVocabulary * width, 1)),
        out(ids.size() * static_cast<std::size_t>(width));
    EXPECT_EQ(embedding().gather(view(ids), kVocabulary, width, table.data(), out.data()), 37);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      for (std::int64_t k = 0; k < width; ++k) {
        ASSERT_EQ(out.data()[static_cast<std::int64_t>(i) * width + k], table.data()[ids[i] * width + k]);
      }
    }
    EXPECT_TRUE(out.unharmed());
  }
}

TEST_P(EmbeddingTest, NamesTheFirstIdOutOfRange) {
  Buffer table(Numbers(4 * 3, 1.0)), out(5 * 3);
  for (const std::int32_t bad : {-1, 4, 1 << 30}) {
    EXPECT_EQ(embedding().gather(view({0, 3, bad, 9, 1}), 4, 3, table.data(), out.data()), 2);
  }
  EXPECT_EQ(embedding().gather(view({}), 4, 3, table.data(), out.data()), 0);
}

TEST_P(EmbeddingTest, GradientSumsInTheOrderOfPositionsHoweverTheTableIsCut) {
  constexpr std::int64_t kVocabulary = 13, kCount = 500;
  for (const std::int64_t width : {1, 5, 16, 33}) {
    const auto ids = random_ids(kCount, kVocabulary - 1);  // nobody picks the last row
    std::mt19937 bits(2);
    Buffer dy(random_numbers(bits, kCount * width, 1));
    Floats want(static_cast<std::size_t>(kVocabulary * width));  // in float and in order: the same bits
    for (std::int64_t i = 0; i < kCount; ++i) {
      for (std::int64_t k = 0; k < width; ++k) {
        want[static_cast<std::size_t>(ids[static_cast<std::size_t>(i)] * width + k)] +=
            dy.data()[i * width + k];
      }
    }
    Buffer whole(want.size()), cut(want.size());
    embedding().gradient(view(ids), width, dy.data(), 0, kVocabulary, false, whole.data());
    EXPECT_EQ(whole.values(), want);
    for (const auto& [first, last] : {std::pair{7, 13}, {0, 1}, {1, 7}, {7, 7}}) {
      embedding().gradient(view(ids), width, dy.data(), first, last, false, cut.data());
    }
    EXPECT_EQ(cut.values(), want);
    EXPECT_TRUE(whole.unharmed() && cut.unharmed());

    Buffer added(Numbers(want.size(), 2.0));
    embedding().gradient(view({5, 5}), width, dy.data(), 4, 6, true, added.data());
    EXPECT_EQ(added.data()[5 * width], 2.0f + dy.data()[0] + dy.data()[width]);
    EXPECT_EQ(added.data()[4 * width], 2.0f);
  }
}

TEST_P(EmbeddingTest, CompactGradientOfTheRowsThatWereTouched) {
  constexpr std::int32_t kVocabulary = 1000;
  constexpr std::int64_t kCount = 200, kWidth = 6;
  const auto ids = random_ids(kCount, 90);
  std::mt19937 bits(2);
  Buffer dy(random_numbers(bits, kCount * kWidth, 1)), dense(kVocabulary * kWidth), compact(kCount * kWidth);
  std::vector<std::int32_t> slot_of(kVocabulary, -1), slots(kCount), rows(kCount);
  const std::int64_t count = embedding().unique(view(ids), slot_of.data(), slots.data(), rows.data());
  EXPECT_EQ(slot_of, std::vector<std::int32_t>(kVocabulary, -1));
  EXPECT_EQ(std::set(ids.begin(), ids.end()).size(), static_cast<std::size_t>(count));
  embedding().gradient(view(ids), kWidth, dy.data(), 0, kVocabulary, false, dense.data());
  embedding().gradient(view(slots), kWidth, dy.data(), 0, count, false, compact.data());
  for (std::int64_t slot = 0; slot < count; ++slot) {
    for (std::int64_t k = 0; k < kWidth; ++k) {
      ASSERT_EQ(compact.data()[slot * kWidth + k],
                dense.data()[rows[static_cast<std::size_t>(slot)] * kWidth + k]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, EmbeddingTest, ::testing::Values(Isa::base, Isa::avx2, Isa::avx512));

}  // namespace
}  // namespace gpunn::cpu::simd
