#include "kernels/dropout.hpp"

#include "kernels/dropout_body.hpp"
#include "kernels/launch.cuh"
#include "kernels/vector.cuh"

namespace gpunn::kernels {
namespace {

// One thread: one Philox block, four elements.
template <Accumulate mode>
struct Drop {
  DropoutAttributes attributes;
  const StepState* state;
  std::int64_t n;
  bool wide;
  const float* x;
  float* y;

  __device__ void operator()(std::int64_t block) const {
    const auto words = philox(dropout_key(attributes, *state), static_cast<std::uint64_t>(block));
    const std::int64_t first = 4 * block;
    Pack<float, 4> keep;
    for (int k = 0; k < 4; ++k) keep.v[k] = dropout_factor(attributes, words[static_cast<unsigned>(k)]);
    if (wide && first + 4 <= n) {
      const auto in = x == nullptr ? ones() : load<4>(x + first);
      auto out = mode == Accumulate::add ? load<4>(y + first) : Pack<float, 4>{};
      for (int k = 0; k < 4; ++k) out.v[k] += kept(in.v[k], keep.v[k]);
      store(y + first, out);
    } else {
      for (int k = 0; k < 4; ++k) {
        if (first + k >= n) continue;
        const float value = x == nullptr ? keep.v[k] : kept(x[first + k], keep.v[k]);
        y[first + k] = mode == Accumulate::add ? y[first + k] + value : value;
      }
    }
  }
  __device__ static Pack<float, 4> ones() {
    Pack<float, 4> one;
    for (float& v : one.v) v = 1.0f;
    return one;
  }
  // Not x * 0: a dropped infinity is 0.
  __device__ static float kept(float x, float factor) { return factor == 0.0f ? 0.0f : x * factor; }
};

}  // namespace

void dropout(Gpu gpu, const DropoutAttributes& attributes, const StepState* state, Accumulate mode,
             std::int64_t n, const float* x, float* y) {
  require(attributes.rate >= 0 && attributes.rate < 1, "dropout: rate must be in [0, 1)");
  with_mode(mode, [&](auto m) {
    for_each(gpu, ceil_div(n, 4), Drop<m()>{attributes, state, n, packs_of_four(x, y), x, y});
  });
}

}  // namespace gpunn::kernels
