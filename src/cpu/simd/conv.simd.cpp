#include "src/cpu/simd/conv.hpp"

#include "src/cpu/simd/activate.hpp"
#include "src/cpu/simd/image.hpp"
#include "src/cpu/simd/tile.hpp"
#include "src/cpu/simd/transpose.hpp"
#include "src/cpu/simd/winograd.hpp"

namespace gpunn::cpu::simd {
namespace {

// Below this the products of the transformed tiles are too short to pay for the transforms.
constexpr int64_t kWinogradChannels = 8;

bool winograd(const Conv2d& c) {
  return c.kernel_h == 3 && c.kernel_w == 3 && c.channels >= kWinogradChannels &&
         c.filters >= kWinogradChannels;
}
const char* method(const Conv2d& c) {
  return winograd(c) ? "winograd" : "direct";
}

// ---- weights: panels of kPanel filters, [panel][k][kPanel]; for Winograd such a set for each of the 16
// points ----

int64_t depth(const Conv2d& c) {
  return winograd(c) ? c.channels : c.kernel_h * c.kernel_w * c.channels;
}
// Floats of a set: for Winograd a few more, so that the 16 points do not lie a power of two apart and fall
// into one set of the cache.
int64_t panels_floats(const Conv2d& c) {
  return depth(c) * round_up(c.filters, kPanel) + (winograd(c) ? 16 : 0);
}
int64_t prepared_floats(const Conv2d& c) {
  return panels_floats(c) * (winograd(c) ? kPoints : 1);
}

void prepare(const Conv2d& c, const float* w, float* prepared) {
  const int64_t rows = depth(c), point = panels_floats(c), tap = c.channels * c.filters;
  for (int64_t k = 0; k < rows; ++k) {
    for (int64_t panel = 0; panel < c.filters; panel += kPanel) {
      const float* from = w + k * c.filters + panel;
      float* to = prepared + panel * rows + k * kPanel;
      for_vectors(least(kPanel, c.filters - panel), [=](int64_t f, auto part) {
        if (!winograd(c)) return store(to + f, load(from + f, part), part);
        Vec g[3][3], u[kPoints];
        GPUNN_UNROLL
        for (int t = 0; t < 9; ++t) g[t / 3][t % 3] = load(from + t * tap + f, part);
        transform_weights(g, u);
        GPUNN_UNROLL
        for (int q = 0; q < kPoints; ++q) store(to + q * point + f, u[q], part);
      });
    }
  }
}

// ---- epilogues ----

// One row of outputs as the tiles left it: what they did not do themselves.
void finish_row(const ConvEpilogue& e, int64_t n, float* y, const float* kept) {
  if (e.activation != Activation::linear && e.activation != Activation::relu) {
    with_activation(e.activation, [=](auto act) {
      for_vectors(n,
                  [=](int64_t i, auto part) { store(y + i, decltype(act)::value(load(y + i, part)), part); });
    });
  }
  if (e.slope_of != Activation::linear) {
    with_activation(e.slope_of, [=](auto act) {
      for_vectors(n, [=](int64_t i, auto part) {
        store(y + i, decltype(act)::backward(load(kept + i, part), load(y + i, part)), part);
      });
    });
  }
}

struct Winner {
  Vec value;
  VecI place;
};

GPUNN_INLINE Winner larger(Winner a, Winner b) {
  const VecI second = (b.value > a.value) | (b.value != b.value);  // NaN wins, and stays
  return {second ? b.value : a.value, second ? b.place : a.place};
}

// Activation and pooling of one window. Bias after the maximum is the same value, once instead of four times.
template <class Part>
GPUNN_INLINE void pool_window(const Vec (&z)[4], Vec bias, Activation act, float* y, uint8_t* winners,
                              Part part) {
  const Winner top = larger({z[0], splat(0)}, {z[1], splat(1)});
  const Winner bottom = larger({z[2], splat(2)}, {z[3], splat(3)});
  Winner w = larger(top, bottom);
  w.value += bias;
  if (act == Activation::relu) {
    w.place = w.value <= 0.0f ? splat(int32_t{kDead}) : w.place;
    w.value = max(Vec{}, w.value);
  } else if (act != Activation::linear) {
    with_activation(act, [&](auto a) { w.value = decltype(a)::value(w.value); });
  }
  store(y, w.value, part);
  store_bytes(winners, w.place, part);
}

// ---- direct ----

// Rows [row, row + rows) of the convolution of one image, `columns` wide, into out.
void direct_rows(const Conv2d& c, Image in, const float* prepared, const float* bias, float floor, bool add,
                 int64_t row, int64_t rows, int64_t columns, float* out, ptrdiff_t out_row) {
  const int64_t stretch = c.kernel_w * c.channels, k = c.kernel_h * stretch;
  for (int64_t f = 0; f < c.filters; f += kPanel) {
    for (int64_t r = 0; r < rows; ++r) {
      float* y = out + r * out_row + f;
      const Tile t{.k = stretch,
                   .outer = c.kernel_h,
                   .a_outer = in.row,
                   .b_outer = stretch * kPanel,
                   .a = in.x + (row + r) * in.row,
                   .a_row = c.channels,
                   .a_k = 1,
                   .b = prepared + f * k,
                   .b_k = kPanel,
                   .start = add    ? y
                            : bias ? bias + f
                                   : nullptr,
                   .start_row = add ? c.filters : 0,
                   .c = y,
                   .c_row = c.filters,
                   .floor = floor};
      multiply_panel(t, columns, static_cast<int>(least(kPanel, c.filters - f)));
    }
  }
}

void forward_direct(const Conv2d& c, const ConvEpilogue& e, Image in, const float* prepared, int64_t image,
                    float* y) {
  const float floor = e.activation == Activation::relu ? 0.0f : -kInfinity;
  // A few rows at a time: they share a panel of weights and are still in the cache for the rest of the
  // epilogue.
  constexpr int64_t kRowsAtOnce = 4;
  for (int64_t r0 = 0; r0 < c.out_h; r0 += kRowsAtOnce) {
    const int64_t rows = least(kRowsAtOnce, c.out_h - r0);
    direct_rows(c, in, prepared, e.bias, floor, e.add, r0, rows, c.out_w, y + r0 * c.y_row, c.y_row);
    for (int64_t r = r0; r < r0 + rows; ++r) {
      finish_row(e, c.out_w * c.filters, y + r * c.y_row,
                 e.kept ? e.kept + image * c.y_image + r * c.y_row : nullptr);
    }
  }
}

void pooled_direct(const Conv2d& c, const float* bias, Activation act, Image in, const float* prepared,
                   float* y, uint8_t* winners, float* rows) {
  const int64_t row = 2 * c.out_w * c.filters;
  for (int64_t r = 0; r < c.out_h; ++r) {
    direct_rows(c, in, prepared, nullptr, -kInfinity, false, 2 * r, 2, 2 * c.out_w, rows, row);
    for (int64_t w = 0; w < c.out_w; ++w) {
      const float* z = rows + 2 * w * c.filters;
      float* to = y + r * c.y_row + w * c.filters;
      uint8_t* won = winners + (r * c.out_w + w) * c.filters;
      for_vectors(c.filters, [=](int64_t f, auto part) {
        const Vec window[4] = {load(z + f, part), load(z + f + c.filters, part), load(z + f + row, part),
                               load(z + f + row + c.filters, part)};
        pool_window(window, bias ? load(bias + f, part) : Vec{}, act, to + f, won + f, part);
      });
    }
  }
}

// ---- Winograd ----

// Tiles of 2x2 outputs, all images in one row; `at_once` of them go through the three stages while they are
// in the cache.
struct Tiles {
  int64_t rows, columns, per_image, at_once;
  ptrdiff_t v_point, m_point;  // floats between the points of transformed inputs and of products
};

Tiles tiles_of(const Conv2d& c, bool pooled) {
  Tiles t;
  t.rows = pooled ? c.out_h : (c.out_h + 1) / 2;
  t.columns = pooled ? c.out_w : (c.out_w + 1) / 2;
  t.per_image = t.rows * t.columns;
  constexpr int64_t kFloats = 40 * 1024;  // 160 KB: a third of a small second-level cache
  t.at_once = most(2 * kTileRows, kFloats / (kPoints * (c.channels + c.filters)));
  t.at_once = most(1, least(t.at_once, t.per_image));
  // Distances that are no power of two: 16 streams at one would fall into one set of the cache.
  constexpr int64_t kApart = 16;
  t.v_point = round_up(t.at_once * c.channels, kApart) + kApart;
  t.m_point = round_up(t.at_once * c.filters, kApart) + kApart;
  return t;
}

Extent seen_by_tiles(const Conv2d& c, bool pooled) {
  const Tiles t = tiles_of(c, pooled);
  return winograd(c) ? seen(c, 2 * t.rows, 2 * t.columns)
         : pooled    ? seen(c, 2 * c.out_h, 2 * c.out_w)
                     : seen(c, c.out_h, c.out_w);
}

// output(tile, products) for every tile of one image.
template <class Output>
GPUNN_INLINE void winograd_image(const Conv2d& c, const Tiles& t, Image in, const float* prepared,
                                 float* scratch, Output output) {
  float* v = scratch;
  float* m = scratch + kPoints * t.v_point;
  const int64_t point = panels_floats(c);
  for (int64_t first = 0; first < t.per_image; first += t.at_once) {
    const int64_t count = least(t.at_once, t.per_image - first);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t r = (first + i) / t.columns, s = (first + i) % t.columns;
      const float* x = in.x + 2 * r * in.row + 2 * s * c.channels;
      for_vectors(c.channels, [=](int64_t ch, auto part) {
        Vec d[kPoints];
        transform_input(x + ch, in.row, c.channels, part, d);
        GPUNN_UNROLL
        for (int q = 0; q < kPoints; ++q) store(v + q * t.v_point + i * c.channels + ch, d[q], part);
      });
    }
    for (int q = 0; q < kPoints; ++q) {
      for (int64_t f = 0; f < c.filters; f += kPanel) {
        const Tile product{.k = c.channels,
                           .a = v + q * t.v_point,
                           .a_row = c.channels,
                           .a_k = 1,
                           .b = prepared + q * point + f * c.channels,
                           .b_k = kPanel,
                           .start = nullptr,
                           .start_row = 0,
                           .c = m + q * t.m_point + f,
                           .c_row = c.filters,
                           .floor = -kInfinity};
        multiply_panel(product, count, static_cast<int>(least(kPanel, c.filters - f)));
      }
    }
    for (int64_t i = 0; i < count; ++i) output(first + i, m + i * c.filters);
  }
}

void forward_winograd(const Conv2d& c, const ConvEpilogue& e, Image in, const float* prepared, int64_t image,
                      float* y, float* scratch) {
  const Tiles t = tiles_of(c, false);
  const Vec floor = splat(e.activation == Activation::relu ? 0.0f : -kInfinity);
  winograd_image(c, t, in, prepared, scratch, [&](int64_t tile, const float* m) {
    const int64_t r = tile / t.columns * 2, s = tile % t.columns * 2;
    float* to = y + r * c.y_row + s * c.filters;
    const bool right = s + 1 < c.out_w, below = r + 1 < c.out_h;
    for_vectors(c.filters, [&](int64_t f, auto part) {
      Vec z[4];
      transform_output(m + f, t.m_point, part, z);
      const Vec bias = e.bias ? load(e.bias + f, part) : Vec{};
      const auto put = [&](float* p, Vec value) {
        store(p, max(floor, value + (e.add ? load(p, part) : bias)), part);
      };
      put(to + f, z[0]);
      if (right) put(to + f + c.filters, z[1]);
      if (below) put(to + f + c.y_row, z[2]);
      if (right && below) put(to + f + c.y_row + c.filters, z[3]);
    });
  });
  for (int64_t r = 0; r < c.out_h; ++r) {
    finish_row(e, c.out_w * c.filters, y + r * c.y_row,
               e.kept ? e.kept + image * c.y_image + r * c.y_row : nullptr);
  }
}

// ---- entry points ----

int64_t stage_floats(const Conv2d& c, bool pooled) {
  if (winograd(c)) {
    const Tiles t = tiles_of(c, pooled);
    return kPoints * (t.v_point + t.m_point);
  }
  return pooled ? 4 * c.out_w * c.filters : 0;
}

int64_t forward_scratch(const Conv2d& c, bool pooled) {
  return stage_floats(c, pooled) + bordered_floats(c, seen_by_tiles(c, pooled));
}
int64_t scratch_floats(const Conv2d& c) {
  return forward_scratch(c, false);
}
int64_t pooled_scratch_floats(const Conv2d& c) {
  return forward_scratch(c, true);
}

void forward(const Conv2d& c, const ConvEpilogue& e, const float* x, const float* prepared, float* y,
             float* scratch) {
  if (c.out_h <= 0 || c.out_w <= 0) return;
  float* border = scratch + stage_floats(c, false);
  for (int64_t n = 0; n < c.batch; ++n) {
    const Image in = bordered(c, seen_by_tiles(c, false), x + n * c.x_image, border);
    if (winograd(c)) {
      forward_winograd(c, e, in, prepared, n, y + n * c.y_image, scratch);
    } else {
      forward_direct(c, e, in, prepared, n, y + n * c.y_image);
    }
  }
}

void forward_pooled(const Conv2d& c, const float* bias, Activation act, const float* x, const float* prepared,
                    float* y, uint8_t* winners, float* scratch) {
  if (c.out_h <= 0 || c.out_w <= 0) return;
  const Tiles t = tiles_of(c, true);
  float* border = scratch + stage_floats(c, true);
  for (int64_t n = 0; n < c.batch; ++n) {
    const Image in = bordered(c, seen_by_tiles(c, true), x + n * c.x_image, border);
    float* to = y + n * c.y_image;
    uint8_t* won = winners + n * t.per_image * c.filters;
    if (!winograd(c)) {
      pooled_direct(c, bias, act, in, prepared, to, won, scratch);
      continue;
    }
    winograd_image(c, t, in, prepared, scratch, [&](int64_t tile, const float* m) {
      float* pooled = to + tile / t.columns * c.y_row + tile % t.columns * c.filters;
      for_vectors(c.filters, [&](int64_t f, auto part) {
        Vec z[4];
        transform_output(m + f, t.m_point, part, z);
        pool_window(z, bias ? load(bias + f, part) : Vec{}, act, pooled + f, won + tile * c.filters + f,
                    part);
      });
    });
  }
}

// W[h, w, c, f] -> [kernel_h - 1 - h, kernel_w - 1 - w, f, c]
void flip(const Conv2d& c, const float* w, float* flipped) {
  const int64_t taps = c.kernel_h * c.kernel_w, tap = c.channels * c.filters;
  for (int64_t t = 0; t < taps; ++t)
    transpose_dense(c.channels, c.filters, w + t * tap, flipped + (taps - 1 - t) * tap);
}

}  // namespace

const ConvKernels GPUNN_SIMD_NAME(conv_table) = {
    .method = method,
    .prepared_floats = prepared_floats,
    .prepare = prepare,
    .scratch_floats = scratch_floats,
    .forward = forward,
    .pooled_scratch_floats = pooled_scratch_floats,
    .forward_pooled = forward_pooled,
    .flip = flip,
};

}  // namespace gpunn::cpu::simd
