#include "src/cpu/simd/conv_gradient.hpp"

#include "src/cpu/simd/image.hpp"
#include "src/cpu/simd/span.hpp"
#include "src/cpu/simd/sums.hpp"
#include "src/cpu/simd/tile.hpp"
#include "src/cpu/simd/transpose.hpp"

namespace gpunn::cpu::simd {
namespace {

int64_t kernel_row(const Conv2d& c) {
  return c.kernel_w * c.channels;
}
int64_t weight_floats(const Conv2d& c) {
  return c.kernel_h * kernel_row(c) * c.filters;
}

// ---- dense ----

// dW of a kernel row, [kernel_w * channels, filters], is a product over the pixels: x's pixels lie one after
// the other, so its transpose needs no copy.
void add_image(const Conv2d& c, Image in, const float* dy, float* dw, bool add) {
  constexpr int64_t kPixels =
      160;  // at once: a panel of dy (20 KB at 16 lanes) stays in the first-level cache
  const int64_t rows_at_once = most(1, kPixels / c.out_w), span = kernel_row(c);
  for (int64_t r = 0; r < c.out_h; r += rows_at_once) {
    for (int64_t f = 0; f < c.filters; f += kPanel) {
      for (int64_t i = 0; i < c.kernel_h; ++i) {
        float* to = dw + i * span * c.filters + f;
        const Tile t{.k = c.out_w,
                     .outer = least(rows_at_once, c.out_h - r),
                     .a_outer = in.row,
                     .b_outer = c.y_row,
                     .a = in.x + (r + i) * in.row,
                     .a_row = 1,
                     .a_k = c.channels,
                     .b = dy + r * c.y_row + f,
                     .b_k = c.filters,
                     .start = add || r > 0 ? to : nullptr,
                     .start_row = c.filters,
                     .c = to,
                     .c_row = c.filters,
                     .floor = -kInfinity};
        multiply_panel(t, span, static_cast<int>(least(kPanel, c.filters - f)));
      }
    }
  }
}

int64_t weights_scratch_floats(const Conv2d& c) {
  return bordered_floats(c, seen(c, c.out_h, c.out_w));
}

void weights(const Conv2d& c, const float* x, const float* dy, float* dw, float* db, bool add,
             float* scratch) {
  if (c.batch <= 0 || c.out_h <= 0 || c.out_w <= 0) {
    if (!add) fill_zero(dw, weight_floats(c));
    if (!add && db) fill_zero(db, c.filters);
    return;
  }
  for (int64_t n = 0; n < c.batch; ++n) {
    const Image in = bordered(c, seen(c, c.out_h, c.out_w), x + n * c.x_image, scratch);
    const float* gradient = dy + n * c.y_image;
    add_image(c, in, gradient, dw, add || n > 0);
    if (!db) continue;
    for (int64_t r = 0; r < c.out_h; ++r) {
      column_sums(c.out_w, c.filters, gradient + r * c.y_row, c.filters, db, add || n > 0 || r > 0);
    }
  }
}

// ---- through relu and pooling ----

constexpr int64_t kGroup = 64;  // filters whose winners one word of bits holds

int64_t groups(const Conv2d& c) {
  return (c.filters + kGroup - 1) / kGroup;
}

// bits[p]: the filters of [0, count) whose winner is p.
GPUNN_INLINE void find_winners(const uint8_t* winners, int64_t count, uint64_t (&bits)[4]) {
  GPUNN_UNROLL
  for (int p = 0; p < 4; ++p) bits[p] = 0;
  for_vectors(count, [&](int64_t i, auto part) {
    const VecI place = keep(load_bytes(winners + i, part), part, kDead);
    GPUNN_UNROLL
    for (int p = 0; p < 4; ++p) bits[p] |= static_cast<uint64_t>(mask_bits(place == p)) << i;
  });
}

// f(filter, p) for every living winner p of a window.
template <class F>
GPUNN_INLINE void for_winners(const Conv2d& c, const uint8_t* winners, F f) {
  for (int64_t first = 0; first < c.filters; first += kGroup) {
    uint64_t bits[4];
    find_winners(winners + first, least(kGroup, c.filters - first), bits);
    GPUNN_UNROLL
    for (int p = 0; p < 4; ++p) {
      for (uint64_t b = bits[p]; b; b &= b - 1) f(first + __builtin_ctzll(b), p);
    }
  }
}

// Windows of one image whose terms are listed before they are added.
constexpr int64_t kWindows = 64;

int64_t term_floats(const Conv2d& c) {
  return round_up(kWindows * c.filters * static_cast<int64_t>(sizeof(Term) / sizeof(float)), 16);
}
int64_t count_floats(int64_t counts) {
  return round_up(counts, 16);
}

Extent seen_by_pool(const Conv2d& c) {
  return seen(c, 2 * c.out_h, 2 * c.out_w);
}

// A kernel row this short fills too little of a vector: each window's gradient is spread out to its four
// places instead.
bool spread(const Conv2d& c) {
  return kernel_row(c) < 8;
}

Conv2d unpooled(const Conv2d& c) {
  Conv2d u = c;
  u.batch = 1;
  u.out_h = 2 * c.out_h, u.out_w = 2 * c.out_w;
  u.y_row = u.out_w * c.filters, u.y_image = u.out_h * u.y_row;
  return u;
}

void spread_gradient(const Conv2d& c, const float* dy, const uint8_t* winners, float* dz) {
  const ptrdiff_t below = 2 * c.out_w * c.filters;
  for (int64_t r = 0; r < c.out_h; ++r) {
    for (int64_t s = 0; s < c.out_w; ++s) {
      const float* from = dy + r * c.y_row + s * c.filters;
      const uint8_t* won = winners + (r * c.out_w + s) * c.filters;
      float* to = dz + 2 * r * below + 2 * s * c.filters;
      for_vectors(c.filters, [=](int64_t f, auto part) {
        const Vec g = load(from + f, part);
        const VecI place = load_bytes(won + f, part);
        store(to + f, place == 0 ? g : Vec{}, part);
        store(to + f + c.filters, place == 1 ? g : Vec{}, part);
        store(to + f + below, place == 2 ? g : Vec{}, part);
        store(to + f + below + c.filters, place == 3 ? g : Vec{}, part);
      });
    }
  }
}

int64_t pooled_weights_scratch_floats(const Conv2d& c) {
  const int64_t border = round_up(bordered_floats(c, seen_by_pool(c)), 16);
  if (spread(c)) return border + unpooled(c).y_image;
  return border + round_up(weight_floats(c), 16) + term_floats(c) + count_floats(c.filters);
}

// One image: the terms of each filter, listed over some windows, are added to its row of by_filter.
void add_windows(const Conv2d& c, Image in, const float* dy, const uint8_t* winners, float* by_filter,
                 float* db, Term* terms, int32_t* counts) {
  const int64_t windows = c.out_h * c.out_w, span = kernel_row(c);
  const int32_t place[4] = {0, static_cast<int32_t>(c.channels), static_cast<int32_t>(in.row),
                            static_cast<int32_t>(in.row + c.channels)};
  for (int64_t first = 0; first < windows; first += kWindows) {
    for (int64_t f = 0; f < c.filters; ++f) counts[f] = 0;
    for (int64_t w = first; w < least(first + kWindows, windows); ++w) {
      const int64_t r = w / c.out_w, s = w % c.out_w;
      const float* g = dy + r * c.y_row + s * c.filters;
      const auto offset = static_cast<int32_t>(2 * r * in.row + 2 * s * c.channels);
      for_winners(c, winners + w * c.filters, [&](int64_t f, int p) {
        terms[f * kWindows + counts[f]++] = {g[f], offset + place[p]};
        if (db) db[f] += g[f];
      });
    }
    for (int64_t f = 0; f < c.filters; ++f) {
      add_terms({by_filter + f * c.kernel_h * span, span, in.x, in.row}, c.kernel_h, span,
                terms + f * kWindows, counts[f]);
    }
  }
}

void pooled_weights(const Conv2d& c, const float* x, const float* dy, const uint8_t* winners, float* dw,
                    float* db, bool add, float* scratch) {
  const Extent e = seen_by_pool(c);
  float* by_filter = scratch + round_up(bordered_floats(c, e), 16);
  const int64_t rows = c.kernel_h * kernel_row(c), image_winners = c.out_h * c.out_w * c.filters;
  if (spread(c)) {
    const Conv2d u = unpooled(c);
    if (c.batch <= 0) return weights(c, x, dy, dw, db, add, scratch);
    for (int64_t n = 0; n < c.batch; ++n) {
      spread_gradient(c, dy + n * c.y_image, winners + n * image_winners, by_filter);
      weights(u, x + n * c.x_image, by_filter, dw, db, add || n > 0, scratch);
    }
    return;
  }
  auto* terms = reinterpret_cast<Term*>(by_filter + round_up(weight_floats(c), 16));
  auto* counts = reinterpret_cast<int32_t*>(by_filter + round_up(weight_floats(c), 16) + term_floats(c));
  if (add) {
    transpose_dense(rows, c.filters, dw, by_filter);
  } else {
    fill_zero(by_filter, weight_floats(c));
    if (db) fill_zero(db, c.filters);
  }
  for (int64_t n = 0; n < c.batch; ++n) {
    const Image in = bordered(c, e, x + n * c.x_image, scratch);
    add_windows(c, in, dy + n * c.y_image, winners + n * image_winners, by_filter, db, terms, counts);
  }
  transpose_dense(c.filters, rows, by_filter, dw);
}

// ---- data gradient: [kernel row][filter][kernel_w * channels], because one kernel row of all filters fits
// the first-level cache

int64_t by_filter_floats(const Conv2d& c) {
  return weight_floats(c);
}

void prepare_by_filter(const Conv2d& c, const float* w, float* by_filter) {
  const int64_t row = kernel_row(c) * c.filters;
  for (int64_t i = 0; i < c.kernel_h; ++i)
    transpose_dense(kernel_row(c), c.filters, w + i * row, by_filter + i * row);
}

int64_t pooled_data_scratch_floats(const Conv2d& c) {
  return round_up(bordered_floats(c, seen_by_pool(c)), 16) + term_floats(c) +
         count_floats(4 * kWindows * groups(c) + 1);
}

// Adds one image's gradient into dx, a plane of rows `row` apart that has room for the border.
void scatter_windows(const Conv2d& c, const float* by_filter, const float* dy, const uint8_t* winners,
                     float* dx, ptrdiff_t row, Term* terms, int32_t* starts) {
  const int64_t windows = c.out_h * c.out_w, span = kernel_row(c);
  const ptrdiff_t place[4] = {0, c.channels, row, row + c.channels};
  for (int64_t first = 0; first < windows; first += kWindows) {
    const int64_t count = least(kWindows, windows - first);
    int32_t used = 0;
    int32_t* start = starts;
    for (int64_t w = first; w < first + count; ++w) {
      const float* g = dy + w / c.out_w * c.y_row + w % c.out_w * c.filters;
      for (int64_t f0 = 0; f0 < c.filters; f0 += kGroup) {
        uint64_t bits[4];
        find_winners(winners + w * c.filters + f0, least(kGroup, c.filters - f0), bits);
        GPUNN_UNROLL
        for (int p = 0; p < 4; ++p) {
          *start++ = used;
          for (uint64_t b = bits[p]; b; b &= b - 1) {
            const int64_t f = f0 + __builtin_ctzll(b);
            terms[used++] = {g[f], static_cast<int32_t>(f * span)};
          }
        }
      }
    }
    *start = used;
    for (int64_t i = 0; i < c.kernel_h; ++i) {
      const float* source = by_filter + i * span * c.filters;
      start = starts;
      for (int64_t w = first; w < first + count; ++w) {
        float* to = dx + (2 * (w / c.out_w) + i) * row + 2 * (w % c.out_w) * c.channels;
        for (int64_t list = 0; list < 4 * groups(c); ++list, ++start) {
          add_terms({to + place[list % 4], 0, source, 0}, 1, span, terms + start[0], start[1] - start[0]);
        }
      }
    }
  }
}

void pooled_data(const Conv2d& c, const float* by_filter, const float* dy, const uint8_t* winners, float* dx,
                 bool add, float* scratch) {
  const Extent e = seen_by_pool(c);
  const bool border = has_border(c, e);
  auto* terms = reinterpret_cast<Term*>(scratch + round_up(bordered_floats(c, e), 16));
  auto* starts = reinterpret_cast<int32_t*>(scratch + round_up(bordered_floats(c, e), 16) + term_floats(c));
  const int64_t width = c.width * c.channels;
  for (int64_t n = 0; n < c.batch; ++n) {
    float* image = dx + n * c.x_image;
    if (!add) {
      for (int64_t r = 0; r < c.height; ++r) fill_zero(image + r * c.x_row, width);
    }
    const ptrdiff_t row = border ? e.width * c.channels : c.x_row;
    if (border) fill_zero(scratch, e.height * row);
    scatter_windows(c, by_filter, dy + n * c.y_image, winners + n * c.out_h * c.out_w * c.filters,
                    border ? scratch : image, row, terms, starts);
    if (!border) continue;
    const Inside in = inside(c, e);
    for (int64_t r = 0; r < in.rows; ++r) {
      const float* from = scratch + (in.row0 + r) * row + in.column0 * c.channels;
      float* to = image + r * c.x_row;
      for_vectors(in.columns * c.channels, [=](int64_t i, auto part) {
        store(to + i, load(to + i, part) + load(from + i, part), part);
      });
    }
  }
}

}  // namespace

const ConvGradientKernels GPUNN_SIMD_NAME(conv_gradient_table) = {
    .weights_scratch_floats = weights_scratch_floats,
    .weights = weights,
    .pooled_weights_scratch_floats = pooled_weights_scratch_floats,
    .pooled_weights = pooled_weights,
    .by_filter_floats = by_filter_floats,
    .prepare_by_filter = prepare_by_filter,
    .pooled_data_scratch_floats = pooled_data_scratch_floats,
    .pooled_data = pooled_data,
};

}  // namespace gpunn::cpu::simd
