#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>

#include "gpunn/text.hpp"
#include "src/io/loader.hpp"
#include "tests/support/golden.hpp"

namespace gpunn {
namespace {

using nlohmann::json;
using Sequences = std::vector<std::vector<std::int32_t>>;

PadOptions options_of(const json& a) {
  PadOptions options{.value = a.value("value", 0)};
  if (a.contains("maxlen") && !a["maxlen"].is_null()) options.maxlen = a["maxlen"];
  if (a.value("padding", "pre") == "post") options.padding = Side::post;
  if (a.value("truncating", "pre") == "post") options.truncating = Side::post;
  return options;
}

TEST(PadSequences, IsKeras) {
  const golden::Family family("pad_sequences");
  ASSERT_EQ(family.cases().size(), 22u);
  for (const std::string& name : family.cases()) {
    SCOPED_TRACE(name);
    const json attributes = family.attributes(name);
    const Tensor rows = pad_sequences(attributes["sequences"].get<Sequences>(), options_of(attributes));
    const Tensor& want = family[name + "/output"];
    ASSERT_EQ(rows.shape(), want.shape());
    EXPECT_TRUE(std::ranges::equal(rows.data<std::int32_t>(), want.data<std::int32_t>()));
  }
}

TEST(PadSequences, EdgesAndMistakes) {
  EXPECT_EQ(pad_sequences(Sequences{}).shape(), (Shape{0, 0}));
  EXPECT_EQ(pad_sequences(Sequences{{}, {}}).shape(), (Shape{2, 0}));
  EXPECT_EQ(pad_sequences(Sequences{}, {.maxlen = 3}).shape(), (Shape{0, 3}));
  EXPECT_THROW(pad_sequences(Sequences{{1}}, {.maxlen = -1}), UsageError);
}

// Sequence n has n % 10 elements, all of them n; its label is n.
std::shared_ptr<SequenceDataset> numbered(std::int64_t n, SequenceOptions options) {
  Sequences sequences;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < n; ++i) {
    sequences.emplace_back(static_cast<std::size_t>(i % 10), static_cast<std::int32_t>(i));
    labels.push_back(static_cast<std::int32_t>(i));
  }
  return std::make_shared<SequenceDataset>(std::move(sequences), Tensor::of({n}, labels), std::move(options));
}

struct Seen {
  std::vector<std::int32_t> samples;        // in the order of the batches
  std::vector<std::pair<int, int>> shapes;  // size and length of each batch
};

Seen epoch(Loader& loader, std::uint32_t number) {
  Seen seen;
  loader.start_epoch(number);
  while (const Batch* batch = loader.next()) {
    seen.shapes.emplace_back(batch->size, batch->length);
    const auto length = batch->length > 0 ? batch->length : loader.fields()[0].shape[0];
    const auto* ids = reinterpret_cast<const std::int32_t*>(batch->fields[0]);
    const auto* labels = reinterpret_cast<const std::int32_t*>(batch->fields[1]);
    for (std::int64_t i = 0; i < batch->size; ++i) {
      const std::int32_t n = labels[i];
      seen.samples.push_back(n);
      for (std::int64_t t = 0; t < length; ++t) {
        EXPECT_EQ(ids[i * length + t], t < n % 10 ? n : -1) << "sample " << n << ", step " << t;
      }
    }
  }
  return seen;
}

const SequenceOptions kBuckets{.pad = {.maxlen = 9, .padding = Side::post, .value = -1}, .buckets = {2, 5}};

TEST(Buckets, EveryBatchIsOfOneAndPaddedToIt) {
  const auto data = numbered(100, kBuckets);
  EXPECT_EQ(data->bucket_lengths(), (std::vector<std::int64_t>{2, 5, 9}));
  Loader loader(data, {.batch_size = 8, .seed = 5});
  const Seen seen = epoch(loader, 0);
  EXPECT_EQ(std::set(seen.samples.begin(), seen.samples.end()).size(), 100u);
  std::map<std::pair<int, int>, int> count;
  for (const auto& shape : seen.shapes) ++count[shape];
  // Lengths 0 to 2, 3 to 5 and 6 to 9: 30, 30 and 40 samples.
  EXPECT_EQ(count, (std::map<std::pair<int, int>, int>{
                       {{8, 2}, 3}, {{6, 2}, 1}, {{8, 5}, 3}, {{6, 5}, 1}, {{8, 9}, 5}}));
  EXPECT_FALSE(std::is_sorted(seen.shapes.begin(), seen.shapes.end(), [](const auto& a, const auto& b) {
    return a.second < b.second;
  })) << "batches are shuffled among the buckets";
  EXPECT_EQ(epoch(loader, 0).samples, seen.samples);
  EXPECT_NE(epoch(loader, 1).samples, seen.samples);
}

TEST(Buckets, DoNotDependOnReadingAhead) {
  const auto data = numbered(257, kBuckets);
  Loader inline_loader(data, {.batch_size = 16, .seed = 2, .prefetch = 0});
  for (const int prefetch : {1, 3}) {
    Loader loader(data, {.batch_size = 16, .seed = 2, .prefetch = prefetch});
    for (const std::uint32_t number : {0u, 4u}) {
      const Seen a = epoch(loader, number), b = epoch(inline_loader, number);
      EXPECT_EQ(a.samples, b.samples);
      EXPECT_EQ(a.shapes, b.shapes);
    }
  }
}

TEST(Buckets, UnshuffledAndAtFullLength) {
  const auto data = numbered(40, kBuckets);
  Loader in_order(data, {.batch_size = 5, .shuffle = false});
  const Seen seen = epoch(in_order, 3);
  EXPECT_EQ(std::vector(seen.samples.begin(), seen.samples.begin() + 5),
            (std::vector<std::int32_t>{0, 1, 2, 10, 11}));
  EXPECT_TRUE(std::is_sorted(seen.shapes.begin(), seen.shapes.end(),
                             [](const auto& a, const auto& b) { return a.second < b.second; }));
  Loader full_length(data, {.batch_size = 5, .buckets = false});
  for (const auto& [size, length] : epoch(full_length, 0).shapes) EXPECT_EQ(length, 0);
}

TEST(Buckets, PartsKeepThem) {
  const auto part = data::subset(numbered(100, kBuckets), 50, 80);
  EXPECT_EQ(part->bucket_lengths().size(), 3u);
  Loader loader(part, {.batch_size = 4});
  const Seen seen = epoch(loader, 0);
  EXPECT_EQ(seen.samples.size(), 30u);
  for (const std::int32_t n : seen.samples) EXPECT_TRUE(n >= 50 && n < 80);
}

TEST(SequenceDataset, RefusesWhatDoesNotFit) {
  const auto make = [](Sequences x, Tensor y, SequenceOptions options) {
    return SequenceDataset(std::move(x), std::move(y), std::move(options));
  };
  EXPECT_THROW(make({{1}}, Tensor(Shape{2}), {}), ShapeError);
  EXPECT_THROW(make({{1}}, Tensor(Shape{}), {}), ShapeError);
  EXPECT_THROW(make({{}}, Tensor(Shape{1}), {}), DataError) << "no length to be found";
  EXPECT_NO_THROW(make({{}}, Tensor(Shape{1}), {.pad = {.maxlen = 3}}));
  EXPECT_THROW(make({{1}}, Tensor(Shape{1}), {.pad = {.maxlen = 3}, .buckets = {2, 2}}), UsageError);
  EXPECT_THROW(make({{1}}, Tensor(Shape{1}), {.pad = {.maxlen = 3}, .buckets = {4}}), UsageError);
  EXPECT_THROW(make({{1}}, Tensor(Shape{1}), {.pad = {.maxlen = 3}, .buckets = {0}}), UsageError);
  EXPECT_THROW(make({{1}}, Tensor(Shape{1}), {.weights = Tensor(Shape{2})}), ShapeError);
  EXPECT_THROW(make({{1}}, Tensor(Shape{1}), {.weights = Tensor::of({1}, std::vector<float>{-1})}),
               DataError);
  const SequenceDataset data({{1, 2}}, Tensor(Shape{1}));
  std::int64_t row = 1;
  std::byte* fields[2] = {};
  EXPECT_THROW(data.read({&row, 1}, fields), UsageError);
  EXPECT_THROW(data.read({&row, 1}, std::span(fields).first(1)), UsageError);
}

}  // namespace
}  // namespace gpunn
