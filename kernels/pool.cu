#include "kernels/pool.hpp"

#include "kernels/epilogue.cuh"
#include "kernels/launch.cuh"
#include "kernels/vector.cuh"

namespace gpunn::kernels {
namespace {

// [begin, end) of the x that window `o` covers.
struct Span {
  std::int64_t begin, end;
};
__device__ Span covered(const PoolAxis& axis, std::int64_t o) {
  const std::int64_t start = o * axis.stride - axis.padding;
  const std::int64_t end = start + axis.window;
  return {start < 0 ? 0 : start, end > axis.in ? axis.in : end};
}
// [begin, end) of the windows that cover x number `i`.
__device__ Span covering(const PoolAxis& axis, std::int64_t i) {
  const std::int64_t last = (i + axis.padding) / axis.stride;
  const std::int64_t behind = i + axis.padding - axis.window;  // the last x before the first window
  const std::int64_t first = behind < 0 ? 0 : behind / axis.stride + 1;
  return {first, last + 1 > axis.out ? axis.out : last + 1};
}

// Where element `i` of [batch, rows, columns, channels / kLanes] lies.
template <int kLanes>
struct Where {
  std::int64_t channel, column, row, image;
  __device__ Where(std::int64_t i, std::int64_t channels, std::int64_t columns, std::int64_t rows) {
    const std::int64_t lanes = channels / kLanes;
    channel = i % lanes * kLanes, i /= lanes;
    column = i % columns, i /= columns;
    row = i % rows, image = i / rows;
  }
};

template <int kLanes>
struct MaxForward {
  PoolGeometry g;
  const float* x;
  float* y;
  std::int32_t* argmax;
  __device__ void operator()(std::int64_t i) const {
    const Where<kLanes> at(i, g.channels, g.width.out, g.height.out);
    const Span rows = covered(g.height, at.row), columns = covered(g.width, at.column);
    Pack<float, kLanes> best{};
    Pack<std::int32_t, kLanes> which{};
    bool first = true;
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      for (std::int64_t c = columns.begin; c < columns.end; ++c) {
        const auto in =
            load<kLanes>(x + ((at.image * g.height.in + r) * g.width.in + c) * g.channels + at.channel);
        const auto position = static_cast<std::int32_t>(r * g.width.in + c);
        for (int k = 0; k < kLanes; ++k) {
          const float v = in.v[k];
          if (first || v > best.v[k] || (v != v && best.v[k] == best.v[k]))
            best.v[k] = v, which.v[k] = position;
        }
        first = false;
      }
    }
    store(y + i * kLanes, best);
    if (argmax != nullptr) store(argmax + i * kLanes, which);
  }
};

template <int kLanes, Accumulate mode>
struct MaxBackward {
  PoolGeometry g;
  const float* dy;
  const std::int32_t* argmax;
  SlopeOf before;
  float* dx;
  __device__ void operator()(std::int64_t i) const {
    const Where<kLanes> at(i, g.channels, g.width.in, g.height.in);
    const Span rows = covering(g.height, at.row), columns = covering(g.width, at.column);
    const auto mine = static_cast<std::int32_t>(at.row * g.width.in + at.column);
    // x where it won is y: the slope of the activation that made x needs no second image.
    Pack<float, kLanes> sum{}, x{};
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      for (std::int64_t c = columns.begin; c < columns.end; ++c) {
        const std::int64_t o = ((at.image * g.height.out + r) * g.width.out + c) * g.channels + at.channel;
        const auto which = load<kLanes>(argmax + o);
        const auto flow = load<kLanes>(dy + o);
        const auto won = before.y == nullptr ? Pack<float, kLanes>{} : load<kLanes>(before.y + o);
        for (int k = 0; k < kLanes; ++k) {
          sum.v[k] += which.v[k] == mine ? flow.v[k] : 0.0f;
          x.v[k] = which.v[k] == mine ? won.v[k] : x.v[k];
        }
      }
    }
    auto out = mode == Accumulate::add ? load<kLanes>(dx + i * kLanes) : Pack<float, kLanes>{};
    for (int k = 0; k < kLanes; ++k) {
      const float d = before.y == nullptr ? sum.v[k] : sum.v[k] * slope_of_output(before.activation, x.v[k]);
      out.v[k] = mode == Accumulate::add ? out.v[k] + d : d;
    }
    store(dx + i * kLanes, out);
  }
};

template <int kLanes>
struct AverageForward {
  PoolGeometry g;
  const float* x;
  float* y;
  __device__ void operator()(std::int64_t i) const {
    const Where<kLanes> at(i, g.channels, g.width.out, g.height.out);
    const Span rows = covered(g.height, at.row), columns = covered(g.width, at.column);
    Pack<float, kLanes> sum{};
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      for (std::int64_t c = columns.begin; c < columns.end; ++c) {
        const auto in =
            load<kLanes>(x + ((at.image * g.height.in + r) * g.width.in + c) * g.channels + at.channel);
        for (int k = 0; k < kLanes; ++k) sum.v[k] += in.v[k];
      }
    }
    const auto count = static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
    for (int k = 0; k < kLanes; ++k) sum.v[k] /= count;
    store(y + i * kLanes, sum);
  }
};

template <int kLanes, Accumulate mode>
struct AverageBackward {
  PoolGeometry g;
  const float* dy;
  float* dx;
  __device__ void operator()(std::int64_t i) const {
    const Where<kLanes> at(i, g.channels, g.width.in, g.height.in);
    const Span rows = covering(g.height, at.row), columns = covering(g.width, at.column);
    auto sum = mode == Accumulate::add ? load<kLanes>(dx + i * kLanes) : Pack<float, kLanes>{};
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      const Span high = covered(g.height, r);
      for (std::int64_t c = columns.begin; c < columns.end; ++c) {
        const Span across = covered(g.width, c);
        const float share = 1.0f / static_cast<float>((high.end - high.begin) * (across.end - across.begin));
        const auto flow =
            load<kLanes>(dy + ((at.image * g.height.out + r) * g.width.out + c) * g.channels + at.channel);
        for (int k = 0; k < kLanes; ++k) sum.v[k] += flow.v[k] * share;
      }
    }
    store(dx + i * kLanes, sum);
  }
};

constexpr int kPoolBlocks = 2;  // four channels and two windows' bounds in 64 bits: up to 128 registers
constexpr int kMaxBackwardBlocks = 1;  // four lanes of sums, values and places, beside the divisions

void require_geometry(const PoolGeometry& g) {
  for (const PoolAxis& axis : {g.height, g.width}) {
    require(axis.window > 0 && axis.stride > 0 && axis.padding >= 0 && axis.padding < axis.window,
            "pool: window and stride must be positive, padding smaller than the window");
    require(axis.out == 0 || (axis.out - 1) * axis.stride - axis.padding < axis.in,
            "pool: a window would see only padding");
  }
}

// Calls use(integral_constant<int, lanes>) with as many channels per thread as the addresses allow.
template <class Use, class... T>
void with_lanes(const PoolGeometry& g, Use use, const T*... pointers) {
  if (g.channels % 4 == 0 && packs_of_four(pointers...)) {
    use(std::integral_constant<int, 4>{});
  } else {
    use(std::integral_constant<int, 1>{});
  }
}

std::int64_t inputs(const PoolGeometry& g) {
  return g.batch * g.height.in * g.width.in * g.channels;
}
std::int64_t outputs(const PoolGeometry& g) {
  return g.batch * g.height.out * g.width.out * g.channels;
}

}  // namespace

void max_pool_forward(Gpu gpu, const PoolGeometry& g, const float* x, float* y, std::int32_t* argmax) {
  require_geometry(g);
  with_lanes(
      g,
      [&](auto k) {
        for_each<kPoolBlocks>(gpu, outputs(g) / k(), MaxForward<k()>{g, x, y, argmax});
      },
      x, y, argmax);
}

void max_pool_backward(Gpu gpu, const PoolGeometry& g, Accumulate mode, const float* dy,
                       const std::int32_t* argmax, float* dx, const SlopeOf& before) {
  require_geometry(g);
  require(before.y == nullptr || !needs_input_for_backward(before.activation),
          "max_pool_backward: the slope of gelu needs the activation's input");
  const auto run = [&](auto lanes) {
    with_mode(mode, [&](auto m) {
      for_each<kMaxBackwardBlocks>(gpu, inputs(g) / lanes(),
                                   MaxBackward<lanes(), m()>{g, dy, argmax, before, dx});
    });
  };
  with_lanes(g, run, dy, argmax, dx, before.y);
}

void average_pool_forward(Gpu gpu, const PoolGeometry& g, const float* x, float* y) {
  require_geometry(g);
  with_lanes(
      g,
      [&](auto lanes) {
        for_each<kPoolBlocks>(gpu, outputs(g) / lanes(), AverageForward<lanes()>{g, x, y});
      },
      x, y);
}

void average_pool_backward(Gpu gpu, const PoolGeometry& g, Accumulate mode, const float* dy, float* dx) {
  require_geometry(g);
  const auto run = [&](auto lanes) {
    with_mode(mode, [&](auto m) {
      for_each<kPoolBlocks>(gpu, inputs(g) / lanes(), AverageBackward<lanes(), m()>{g, dy, dx});
    });
  };
  with_lanes(g, run, dy, dx);
}

}  // namespace gpunn::kernels
