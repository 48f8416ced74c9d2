#include "src/ops/batch_norm.hpp"

#include <cmath>

#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

constexpr const char* kName = "channels loop";
constexpr const char* kWhy = "vectorised over channels";

// Channels-last: each vector of channels is contiguous.
struct Extent {
  explicit Extent(const Shape& x)
      : channels(x[-1]),
        vectors(ops::row_elements(x.with(-1, 1))),
        per_element(1.0f / static_cast<float>(std::max<std::int64_t>(x[0] * vectors, 1))) {}

  // Calls use(first element of the vector) for the vectors of a slice.
  template <class Use>
  void for_each_vector(const Slice& s, Use use) const {
    for (std::int64_t v = 0; v < s.rows * vectors; ++v) use(v * channels);
  }

  std::int64_t channels, vectors;
  float per_element;  // 1 / elements of a channel in the whole batch
};

// The steps that statistics are made of: input `input` is a mask, the next its count; or all, without one.
struct RealSteps {
  RealSteps(const OpCall& call, int input)
      : input(input), given(ops::has(call, static_cast<std::size_t>(input))) {
    const Shape& x = call.inputs[0].shape;
    if (!given) return;
    vectors = ops::row_elements(x.with(-1, 1)) / std::max<std::int64_t>(x[1], 1);
    elements = std::max<std::int64_t>(vectors * x[-1], 1);
  }

  float per_element(const Slice& s) const {
    return 1.0f / (s.in(input + 1)[0] * static_cast<float>(vectors) + ops::kMaskedCountFloor);
  }
  bool real(const Slice& s, std::int64_t element) const {
    return !given || s.in<std::uint8_t>(input)[element / elements] != 0;
  }

  int input;
  bool given;
  std::int64_t vectors = 1, elements = 1;  // of a step
};

// Scales what a slice has summed, and puts it into output k.
void put_sums(const Slice& s, int k, const float* sums, std::int64_t channels, float scale) {
  for (std::int64_t c = 0; c < channels; ++c) put(s.out(k)[c], sums[c] * scale, s.add(k));
}

Implementation masked_mean(const OpCall& call) {
  const Extent extent(call.inputs[0].shape);
  const RealSteps steps(call, 1);
  return sliced(
      kName, "steps that the mask leaves",
      [=](const Slice& s) {
        float* sums = static_cast<float*>(s.scratch);
        std::fill_n(sums, extent.channels, 0.0f);
        extent.for_each_vector(s, [&](std::int64_t at) {
          if (!steps.real(s, at)) return;
          for (std::int64_t c = 0; c < extent.channels; ++c) sums[c] += s.in(0)[at + c];
        });
        put_sums(s, 0, sums, extent.channels, steps.per_element(s));
      },
      floats(extent.channels));
}

Implementation mean(const OpCall& call, const Target&) {
  if (ops::has(call, 1)) return masked_mean(call);
  const Extent extent(call.inputs[0].shape);
  return sliced(
      kName, kWhy,
      [extent](const Slice& s) {
        float* sums = static_cast<float*>(s.scratch);
        simd::kernels().dense.column_sums(s.rows * extent.vectors, extent.channels, s.in(0), extent.channels,
                                          sums, false);
        put_sums(s, 0, sums, extent.channels, extent.per_element);
      },
      floats(extent.channels));
}

Implementation variance(const OpCall& call, const Target&) {
  const Extent extent(call.inputs[0].shape);
  const RealSteps steps(call, 2);
  return sliced(
      kName, steps.given ? "steps that the mask leaves" : kWhy,
      [extent, steps](const Slice& s) {
        float* sums = static_cast<float*>(s.scratch);
        const float* centre = s.in(1);
        std::fill_n(sums, extent.channels, 0.0f);
        extent.for_each_vector(s, [&](std::int64_t at) {
          if (!steps.real(s, at)) return;
          const float* x = s.in(0) + at;
          for (std::int64_t c = 0; c < extent.channels; ++c) {
            sums[c] += (x[c] - centre[c]) * (x[c] - centre[c]);
          }
        });
        put_sums(s, 0, sums, extent.channels, steps.given ? steps.per_element(s) : extent.per_element);
      },
      floats(extent.channels));
}

Implementation forward(const OpCall& call, const Target&) {
  const Extent extent(call.inputs[0].shape);
  const float epsilon = call.attrs_as<ops::BatchNormAttrs>().epsilon;
  const bool gamma = ops::has(call, 3), beta = ops::has(call, 4);
  const auto run = [=](const Slice& s) {
    const float *centre = s.in(1), *variance = s.in(2);
    float *scale = static_cast<float*>(s.scratch), *shift = scale + extent.channels;
    for (std::int64_t c = 0; c < extent.channels; ++c) {
      scale[c] = (gamma ? s.in(3)[c] : 1.0f) / std::sqrt(variance[c] + epsilon);
      shift[c] = beta ? s.in(4)[c] : 0.0f;
    }
    extent.for_each_vector(s, [&](std::int64_t at) {
      const float* x = s.in(0) + at;
      float* y = s.out(0) + at;
      for (std::int64_t c = 0; c < extent.channels; ++c) y[c] = (x[c] - centre[c]) * scale[c] + shift[c];
    });
  };
  return sliced(kName, kWhy, run, floats(2 * extent.channels));
}

Implementation backward_sums(const OpCall& call, const Target&) {
  const Extent extent(call.inputs[0].shape);
  const float epsilon = call.attrs_as<ops::BatchNormAttrs>().epsilon;
  return sliced(kName, kWhy, [=](const Slice& s) {
    const float *centre = s.in(2), *variance = s.in(3);
    float *dgamma = s.out(0), *dbeta = s.out(1);
    std::fill_n(dgamma, extent.channels, 0.0f);
    std::fill_n(dbeta, extent.channels, 0.0f);
    extent.for_each_vector(s, [&](std::int64_t at) {
      const float *x = s.in(0) + at, *dy = s.in(1) + at;
      for (std::int64_t c = 0; c < extent.channels; ++c) {
        dgamma[c] += dy[c] * (x[c] - centre[c]);
        dbeta[c] += dy[c];
      }
    });
    for (std::int64_t c = 0; c < extent.channels; ++c) dgamma[c] /= std::sqrt(variance[c] + epsilon);
  });
}

// dx = gamma / deviation * (dy - dbeta / N - normal x * dgamma / N); without the sums, and in steps that are
// not in the statistics, gamma / deviation * dy.
Implementation backward(const OpCall& call, const Target&) {
  const Extent extent(call.inputs[0].shape);
  const float epsilon = call.attrs_as<ops::BatchNormAttrs>().epsilon;
  const bool gamma = ops::has(call, 4), of_x = ops::has(call, 5);
  const RealSteps steps(call, 7);
  const auto run = [=](const Slice& s) {
    const float per_element = steps.given ? steps.per_element(s) : extent.per_element;
    const float *centre = s.in(2), *variance = s.in(3);
    float *scale = static_cast<float*>(s.scratch), *constant = scale + extent.channels,
          *slope = constant + extent.channels;
    for (std::int64_t c = 0; c < extent.channels; ++c) {
      const float inverse = 1.0f / std::sqrt(variance[c] + epsilon);
      scale[c] = (gamma ? s.in(4)[c] : 1.0f) * inverse;
      slope[c] = of_x ? s.in(5)[c] * per_element * inverse : 0.0f;
      constant[c] = of_x ? s.in(6)[c] * per_element : 0.0f;
    }
    extent.for_each_vector(s, [&](std::int64_t at) {
      const float *x = s.in(0) + at, *dy = s.in(1) + at;
      float* dx = s.out(0) + at;
      if (!steps.real(s, at)) {
        for (std::int64_t c = 0; c < extent.channels; ++c) put(dx[c], scale[c] * dy[c], s.add(0));
        return;
      }
      for (std::int64_t c = 0; c < extent.channels; ++c) {
        put(dx[c], scale[c] * (dy[c] - constant[c] - (x[c] - centre[c]) * slope[c]), s.add(0));
      }
    });
  };
  return sliced(kName, kWhy, run, floats(3 * extent.channels));
}

Implementation update(const OpCall& call, const Target&) {
  const std::int64_t channels = call.inputs[0].shape[0];
  const float momentum = call.attrs_as<ops::BatchNormUpdateAttrs>().momentum;
  return whole("loop", "a few numbers", 1, [=](const Slice& s) {
    for (const int k : {0, 1}) {
      float* moving = s.mutated(k);
      const float* batch = s.in(k + 2);
      for (std::int64_t c = 0; c < channels; ++c)
        moving[c] = moving[c] * momentum + batch[c] * (1.0f - momentum);
    }
  });
}

}  // namespace

void implement_batch_norm(Registry& registry) {
  registry.add("batch_norm_mean", mean);
  registry.add("batch_norm_variance", variance);
  registry.add("batch_norm", forward);
  registry.add("batch_norm_backward_sums", backward_sums);
  registry.add("batch_norm_backward", backward);
  registry.add("batch_norm_update", update);
}

}  // namespace gpunn::cpu
