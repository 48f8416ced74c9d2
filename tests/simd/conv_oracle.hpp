// Convolutions and their gradients as plain loops in double.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "src/cpu/simd/conv.hpp"

namespace gpunn::cpu::simd::oracle {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

// f(x index, w index) for every product of output (n, r, s, filter); positions outside x are left out.
template <class F>
void for_products(const Conv2d& c, std::int64_t n, std::int64_t r, std::int64_t s, std::int64_t filter, F f) {
  for (std::int64_t i = 0; i < c.kernel_h; ++i) {
    for (std::int64_t j = 0; j < c.kernel_w; ++j) {
      const std::int64_t row = r + i - c.pad_top, column = s + j - c.pad_left;
      if (row < 0 || row >= c.height || column < 0 || column >= c.width) continue;
      for (std::int64_t k = 0; k < c.channels; ++k) {
        f(static_cast<std::size_t>(n * c.x_image + row * c.x_row + column * c.channels + k),
          static_cast<std::size_t>(((i * c.kernel_w + j) * c.channels + k) * c.filters + filter));
      }
    }
  }
}

inline double one_output(const Conv2d& c, const Floats& x, const Floats& w, const Floats& bias,
                         std::int64_t n, std::int64_t r, std::int64_t s, std::int64_t filter) {
  double sum = bias.empty() ? 0 : bias[static_cast<std::size_t>(filter)];
  for_products(c, n, r, s, filter, [&](std::size_t xi, std::size_t wi) { sum += double{x[xi]} * w[wi]; });
  return sum;
}

// f(n, row, column, filter, index into y) over what is computed.
template <class F>
void for_outputs(const Conv2d& c, F f) {
  for (std::int64_t n = 0; n < c.batch; ++n) {
    for (std::int64_t r = 0; r < c.out_h; ++r) {
      for (std::int64_t s = 0; s < c.out_w; ++s) {
        for (std::int64_t k = 0; k < c.filters; ++k) {
          f(n, r, s, k, static_cast<std::size_t>(n * c.y_image + r * c.y_row + s * c.filters + k));
        }
      }
    }
  }
}

inline Doubles convolve(const Conv2d& c, const Floats& x, const Floats& w, const Floats& bias) {
  Doubles y(static_cast<std::size_t>(c.batch * c.y_image));
  for_outputs(c,
              [&](auto n, auto r, auto s, auto k, auto i) { y[i] = one_output(c, x, w, bias, n, r, s, k); });
  return y;
}

struct Pooled {
  Doubles y, margin;  // margin: how far the winner is ahead, or relu from its kink
  std::vector<std::uint8_t> winners;
};

inline Pooled convolve_pooled(const Conv2d& c, const Floats& x, const Floats& w, const Floats& bias,
                              Activation act) {
  const auto size = static_cast<std::size_t>(c.batch * c.y_image);
  Pooled p{Doubles(size), Doubles(size), std::vector<std::uint8_t>(size)};
  for_outputs(c, [&](auto n, auto r, auto s, auto k, auto i) {
    double best = -INFINITY, second = -INFINITY;
    for (int q = 0; q < 4; ++q) {
      const double z = one_output(c, x, w, bias, n, 2 * r + q / 2, 2 * s + q % 2, k);
      if (z > best) {
        second = best, best = z, p.winners[i] = static_cast<std::uint8_t>(q);
      } else if (z > second) {
        second = z;
      }
    }
    p.margin[i] = best - second;
    if (act == Activation::relu) {
      if (best <= 0) p.winners[i] = kDead;
      p.margin[i] = best <= 0 ? -best : std::min(p.margin[i], best);
      best = std::max(best, 0.0);
    } else if (act == Activation::sigmoid) {
      best = 1 / (1 + std::exp(-best));
    }
    p.y[i] = best;
  });
  return p;
}

inline Doubles data_gradient(const Conv2d& c, const Floats& dy, const Floats& w) {
  Doubles dx(static_cast<std::size_t>(c.batch * c.x_image));
  for_outputs(c, [&](auto n, auto r, auto s, auto k, auto i) {
    for_products(c, n, r, s, k, [&](std::size_t xi, std::size_t wi) { dx[xi] += double{dy[i]} * w[wi]; });
  });
  return dx;
}

struct WeightGradient {
  Doubles dw, db;
};
inline WeightGradient weight_gradient(const Conv2d& c, const Floats& x, const Floats& dy) {
  WeightGradient g{Doubles(static_cast<std::size_t>(c.kernel_h * c.kernel_w * c.channels * c.filters)),
                   Doubles(static_cast<std::size_t>(c.filters))};
  for_outputs(c, [&](auto n, auto r, auto s, auto k, auto i) {
    for_products(c, n, r, s, k, [&](std::size_t xi, std::size_t wi) { g.dw[wi] += double{dy[i]} * x[xi]; });
    g.db[static_cast<std::size_t>(k)] += dy[i];
  });
  return g;
}

}  // namespace gpunn::cpu::simd::oracle
