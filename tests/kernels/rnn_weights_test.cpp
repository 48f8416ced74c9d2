// Weights packed for a library and their gradients unpacked: every element in its place, nothing else
// touched.
#include "kernels/rnn_weights.hpp"

#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

struct Sizes {
  int gates;
  std::int64_t input, units;
  int biases;
};
constexpr Sizes kSizes[] = {{1, 1, 1, 0},   {1, 31, 33, 1}, {3, 32, 32, 2}, {3, 33, 31, 2},
                            {4, 64, 65, 1}, {4, 5, 129, 1}, {3, 0, 7, 0},   {2, 3, 0, 1}};

// Parts in some order, with gaps between them.
RnnWeights scattered(const Sizes& s, std::size_t& floats) {
  RnnWeights w;
  w.input = s.input, w.units = s.units, w.gates = s.gates;
  std::int64_t at = 3;
  const auto place = [&](std::int64_t count) {
    const std::int64_t here = at;
    at += count + 5;
    return here;
  };
  for (int gate = s.gates; gate-- > 0;) {
    const auto g = static_cast<std::size_t>(gate);
    if (s.biases > 0) w.bias[g] = place(s.units);
    w.recurrent[g] = place(s.units * s.units);
    if (s.biases > 1) w.recurrent_bias[g] = place(s.units);
    w.kernel[g] = place(s.units * s.input);
  }
  floats = static_cast<std::size_t>(at);
  return w;
}

// Calls f(array 0 to 2, place in ours, place in theirs) for every weight.
template <class F>
void for_each_weight(const Sizes& s, const RnnWeights& w, F f) {
  const std::int64_t columns = s.gates * s.units;
  for (std::int64_t gate = 0; gate < s.gates; ++gate) {
    const auto g = static_cast<std::size_t>(gate);
    for (std::int64_t u = 0; u < s.units; ++u) {
      for (std::int64_t i = 0; i < s.input; ++i)
        f(0, i * columns + gate * s.units + u, w.kernel[g] + u * s.input + i);
      for (std::int64_t i = 0; i < s.units; ++i)
        f(1, i * columns + gate * s.units + u, w.recurrent[g] + u * s.units + i);
      if (s.biases > 0) f(2, gate * s.units + u, w.bias[g] + u);
      if (s.biases > 1) f(2, columns + gate * s.units + u, w.recurrent_bias[g] + u);
    }
  }
}

struct Ours {
  Floats arrays[3];
  explicit Ours(const Sizes& s)
      : arrays{uniform(s.input * s.gates * s.units, -1, 1), uniform(s.units * s.gates * s.units, -2, 2),
               uniform(s.biases * s.gates * s.units, -3, 3)} {}
};

TEST(RnnWeightsTest, PackedWhereTheLibraryKeepsThem) {
  for (const Sizes& s : kSizes) {
    std::size_t floats = 0;
    const RnnWeights w = scattered(s, floats);
    const Ours ours(s);
    const Floats got = everywhere([&](const Way& way) {
      Array<float> kernel(way, ours.arrays[0]), recurrent(way, ours.arrays[1]), bias(way, ours.arrays[2]);
      Array<float> space(way, Floats(floats, 77.0f));
      pack_rnn_weights(way.gpu, w, kernel, recurrent, bias, space);
      return space.read();
    });
    Floats want(floats, 77.0f);
    for_each_weight(s, w, [&](int array, std::int64_t from, std::int64_t to) {
      want[static_cast<std::size_t>(to)] = ours.arrays[array][static_cast<std::size_t>(from)];
    });
    EXPECT_EQ(got, want) << s.gates << " gates, input " << s.input << ", units " << s.units;
  }
}

TEST(RnnWeightsTest, GradientsComeBackInEveryMode) {
  for (const Sizes& s : kSizes) {
    std::size_t floats = 0;
    const RnnWeights w = scattered(s, floats);
    const Floats space = uniform(static_cast<std::int64_t>(floats), -1, 1);
    for (int added = 0; added < 8; added += kSmallestTests ? 7 : 1) {
      const auto mode = [&](int k) { return kModes[static_cast<std::size_t>(added >> k & 1)]; };
      Ours old(s);
      for (int k = 0; k < 3; ++k) old.arrays[k] = before(mode(k), old.arrays[k].size());
      const Floats got = everywhere([&](const Way& way) {
        Array<float> from(way, space);
        Array<float> kernel(way, old.arrays[0]), recurrent(way, old.arrays[1]), bias(way, old.arrays[2]);
        unpack_rnn_gradients(way.gpu, w, from, {kernel, recurrent, bias, mode(0), mode(1), mode(2)});
        return join({kernel.read(), recurrent.read(), bias.read()});
      });
      Ours want = old;
      for_each_weight(s, w, [&](int array, std::int64_t to, std::int64_t at) {
        float& value = want.arrays[array][static_cast<std::size_t>(to)];
        const float moved = space[static_cast<std::size_t>(at)];
        value = mode(array) == Accumulate::add ? value + moved : moved;
      });
      EXPECT_EQ(got, join({want.arrays[0], want.arrays[1], want.arrays[2]}))
          << s.gates << " gates, input " << s.input << ", units " << s.units << ", modes " << added;
    }
  }
}

TEST(RnnWeightsTest, NotANumberStaysInItsPlace) {
  const Sizes s{3, 40, 33, 2};
  std::size_t floats = 0;
  const RnnWeights w = scattered(s, floats);
  Ours ours(s);
  ours.arrays[0][100] = std::nanf("");
  const Floats got = everywhere([&](const Way& way) {
    Array<float> kernel(way, ours.arrays[0]), recurrent(way, ours.arrays[1]), bias(way, ours.arrays[2]);
    Array<float> space(way, Floats(floats, 0.0f));
    pack_rnn_weights(way.gpu, w, kernel, recurrent, bias, space);
    return space.read();
  });
  EXPECT_EQ(std::count_if(got.begin(), got.end(), [](float v) { return std::isnan(v); }), 1);
}

}  // namespace
}  // namespace gpunn::kernels
