#include "src/cpu/simd/pool.hpp"

#include "src/cpu/simd/vec.hpp"

namespace gpunn::cpu::simd {
namespace {

// The part of a window inside the image: rows [row0, row1), columns [column0, column1).
struct Window {
  int64_t row0, row1, column0, column1;
  int64_t elements() const { return (row1 - row0) * (column1 - column0); }
};

// f(window, offset of its output, offset of its image) in the order of the outputs.
template <class F>
GPUNN_INLINE void for_windows(const Pool2d& p, F f) {
  int64_t output = 0;
  for (int64_t n = 0; n < p.batch; ++n) {
    for (int64_t r = 0; r < p.out_h; ++r) {
      for (int64_t s = 0; s < p.out_w; ++s, output += p.channels) {
        const int64_t top = r * p.stride_h - p.pad_top, left = s * p.stride_w - p.pad_left;
        const Window w{most(top, 0), least(top + p.window_h, p.height), most(left, 0),
                       least(left + p.window_w, p.width)};
        f(w, output, n * p.height * p.width * p.channels);
      }
    }
  }
}

// f(position in the image) over a window.
template <class F>
GPUNN_INLINE void for_positions(const Pool2d& p, const Window& w, F f) {
  for (int64_t r = w.row0; r < w.row1; ++r) {
    for (int64_t s = w.column0; s < w.column1; ++s) f(r * p.width + s);
  }
}

void clear(const Pool2d& p, float* dx) {
  for_vectors(p.batch * p.height * p.width * p.channels,
              [=](int64_t i, auto part) { store(dx + i, Vec{}, part); });
}

void max_pool(const Pool2d& p, const float* x, float* y, int32_t* argmax) {
  for_windows(p, [&](const Window& w, int64_t output, int64_t image) {
    for_vectors(p.channels, [&](int64_t c, auto part) {
      VecI at = splat(static_cast<int32_t>(w.row0 * p.width + w.column0));
      Vec best = load(x + image + at[0] * p.channels + c, part);
      for_positions(p, w, [&](int64_t position) {
        const Vec v = load(x + image + position * p.channels + c, part);
        const VecI wins = (v > best) | ((v != v) & (best == best));
        best = wins ? v : best;
        at = wins ? splat(static_cast<int32_t>(position)) : at;
      });
      store(y + output + c, best, part);
      store(argmax + output + c, at, part);
    });
  });
}

void max_backward(const Pool2d& p, const float* dy, const int32_t* argmax, float* dx, bool add) {
  if (!add) clear(p, dx);
  for_windows(p, [&](const Window& w, int64_t output, int64_t image) {
    for_vectors(p.channels, [&](int64_t c, auto part) {
      const Vec g = load(dy + output + c, part);
      const VecI at = load(argmax + output + c, part);
      for_positions(p, w, [&](int64_t position) {
        float* to = dx + image + position * p.channels + c;
        const VecI won = at == static_cast<int32_t>(position);
        store(to, load(to, part) + (won ? g : Vec{}), part);
      });
    });
  });
}

void average(const Pool2d& p, const float* x, float* y) {
  for_windows(p, [&](const Window& w, int64_t output, int64_t image) {
    const auto elements = static_cast<float>(w.elements());
    for_vectors(p.channels, [&](int64_t c, auto part) {
      Vec sum{};
      for_positions(p, w,
                    [&](int64_t position) { sum += load(x + image + position * p.channels + c, part); });
      store(y + output + c, sum / elements, part);
    });
  });
}

void average_backward(const Pool2d& p, const float* dy, float* dx, bool add) {
  if (!add) clear(p, dx);
  for_windows(p, [&](const Window& w, int64_t output, int64_t image) {
    const auto elements = static_cast<float>(w.elements());
    for_vectors(p.channels, [&](int64_t c, auto part) {
      const Vec share = load(dy + output + c, part) / elements;
      for_positions(p, w, [&](int64_t position) {
        float* to = dx + image + position * p.channels + c;
        store(to, load(to, part) + share, part);
      });
    });
  });
}

}  // namespace

const PoolKernels GPUNN_SIMD_NAME(pool_table) = {
    .max = max_pool, .max_backward = max_backward, .average = average, .average_backward = average_backward};

}  // namespace gpunn::cpu::simd
