// The CPU backend's kernels on one core: microseconds, GFLOP/s and the share of this core's measured
// multiply-add peak, beside oneDNN on one thread in the same run.
//
//   simd_bench [base|avx2|avx512] [dense|conv|other]     (default: the instruction set the library would
//   choose, everything)
//
// Times are the best quarter of many short runs: the machine's other tenants only ever add.
#include <dnnl.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "bench/fma_peak.hpp"
#include "src/cpu/simd/dispatch.hpp"

namespace {

using namespace gpunn::cpu::simd;
using Work = std::function<void()>;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Microseconds of one call: lower quartile over runs long enough for the clock.
double microseconds(const Work& work) {
  work();
  double once = seconds();
  work();
  once = seconds() - once;
  const int inner = std::max(1, static_cast<int>(2e-5 / std::max(once, 1e-8)));
  const int runs = std::clamp(static_cast<int>(0.05 / (inner * std::max(once, 1e-8))), 7, 400);
  std::vector<double> times(static_cast<std::size_t>(runs));
  for (double& t : times) {
    const double start = seconds();
    for (int i = 0; i < inner; ++i) work();
    t = (seconds() - start) / inner;
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 4] * 1e6;
}

// 64-byte aligned, as the library's arena is.
template <class T>
struct Aligned {
  using value_type = T;
  T* allocate(std::size_t n) {
    return static_cast<T*>(std::aligned_alloc(64, (n * sizeof(T) + 63) / 64 * 64));
  }
  void deallocate(T* p, std::size_t) { std::free(p); }
  bool operator==(const Aligned&) const { return true; }
};
using Floats = std::vector<float, Aligned<float>>;

Floats random_values(std::int64_t n, float scale = 1) {
  static std::mt19937 bits(7);
  std::uniform_real_distribution<float> value(-scale, scale);
  Floats v(static_cast<std::size_t>(n));
  for (float& x : v) x = value(bits);
  return v;
}

double peak_gflops = 0;

void measure_peak(Isa isa) {
  peak_gflops = fma_peak(isa) * 1e-9;
  std::printf("multiply-add peak of this core: %.0f GFLOP/s\n", peak_gflops);
}

void row(const std::string& name, double flops, const Work& ours, const Work& theirs = {}) {
  double us = microseconds(ours), other = theirs ? microseconds(theirs) : 0;
  for (int again = 0; again < 2; ++again) {  // in turn: a slow phase of the machine hits both
    us = std::min(us, microseconds(ours));
    if (theirs) other = std::min(other, microseconds(theirs));
  }
  std::printf("%-44s %9.2f us %7.1f GFLOP/s %4.0f %%", name.c_str(), us, flops / us * 1e-3,
              100 * flops / us * 1e-3 / peak_gflops);
  if (theirs) std::printf("   oneDNN %9.2f us  x%.2f", other, other / us);
  std::printf("\n");
}

void dense_row(const Kernels& k, const char* form, std::int64_t m, std::int64_t n, std::int64_t depth) {
  const bool nt = !std::strcmp(form, "nt"), tn = !std::strcmp(form, "tn"),
             packed = !std::strcmp(form, "packed");
  const auto a = random_values(m * depth), b = random_values(depth * n);
  auto c = random_values(m * n), d = c;
  Floats panels(static_cast<std::size_t>(k.dense.packed_floats(depth, n)));
  k.dense.pack(depth, n, b.data(), n, panels.data());
  const Gemm g{.m = m,
               .n = n,
               .k = depth,
               .a = a.data(),
               .lda = tn ? m : depth,
               .b = packed ? panels.data() : b.data(),
               .ldb = nt ? depth : n,
               .c = c.data(),
               .ldc = n};
  const auto f = nt ? k.dense.nt : tn ? k.dense.tn : packed ? k.dense.nn_packed : k.dense.nn;
  row(
      "gemm " + std::string(form) + " " + std::to_string(m) + "x" + std::to_string(n) + "x" +
          std::to_string(depth),
      2.0 * static_cast<double>(m * n * depth), [&] { f(g); },
      [&] {
        dnnl_sgemm(tn ? 'T' : 'N', nt ? 'T' : 'N', m, n, depth, 1, a.data(), g.lda, b.data(), g.ldb, 0,
                   d.data(), n);
      });
}

void dense_rows(const Kernels& k) {
  std::printf("\ndense: m x n x k\n");
  for (const char* form : {"nn", "packed", "nt", "tn"}) dense_row(k, form, 32, 64, 64);
  dense_row(k, "nn", 32, 64, 10);
  dense_row(k, "tn", 10, 64, 32);
  dense_row(k, "nn", 32, 1, 64);
  dense_row(k, "nt", 32, 64, 1);
  dense_row(k, "tn", 64, 1, 32);
  dense_row(k, "nn", 32, 10, 64);
  dense_row(k, "nt", 32, 64, 10);
  dense_row(k, "tn", 64, 10, 32);
  for (const std::int64_t rows : {8, 16, 32}) {
    dense_row(k, "nn", rows, 64, 1600);
    dense_row(k, "nt", rows, 1600, 64);
    dense_row(k, "packed", rows, 1600, 64);
    dense_row(k, "tn", 1600, 64, rows);
  }
  for (const char* form : {"nn", "packed", "nt", "tn"}) dense_row(k, form, 512, 512, 512);
  for (const std::int64_t width : {48, 80}) {
    for (const char* form : {"nn", "nt", "tn"}) dense_row(k, form, 32, width, width);
  }
}

Conv2d image_conv(std::int64_t batch, std::int64_t side, std::int64_t channels, std::int64_t kernel,
                  std::int64_t filters, std::int64_t pad, std::int64_t pool, std::int64_t needed = 0) {
  const std::int64_t out = needed ? needed : (side + 2 * pad - kernel + 1) / pool;
  const std::int64_t full = (side + 2 * pad - kernel + 1) / pool;
  Conv2d c{.batch = batch,
           .height = side,
           .width = side,
           .channels = channels,
           .kernel_h = kernel,
           .kernel_w = kernel,
           .filters = filters,
           .pad_top = pad,
           .pad_left = pad,
           .out_h = out,
           .out_w = out};
  c.x_row = side * channels, c.x_image = side * c.x_row;
  c.y_row = full * filters, c.y_image = full * c.y_row;
  return c;
}

std::string describe(const char* what, const Conv2d& c) {
  return std::string(what) + " " + std::to_string(c.height) + "x" + std::to_string(c.channels) + " * " +
         std::to_string(c.kernel_h) + "x" + std::to_string(c.filters) + (c.pad_top ? " same" : "");
}

double conv_flops(const Conv2d& c, std::int64_t pool) {
  return 2.0 * static_cast<double>(c.batch * c.out_h * c.out_w * pool * pool * c.kernel_h * c.kernel_w *
                                   c.channels * c.filters);
}

void conv_rows_of(const Kernels& k, const Conv2d& c, bool pooled) {
  const auto x = random_values(c.batch * c.x_image);
  const auto w = random_values(c.kernel_h * c.kernel_w * c.channels * c.filters, 0.1f),
             bias = random_values(c.filters, 0.1f);
  auto y = random_values(c.batch * c.y_image), prepared = random_values(k.conv.prepared_floats(c));
  auto scratch = random_values(pooled ? k.conv.pooled_scratch_floats(c) : k.conv.scratch_floats(c));
  std::vector<std::uint8_t> winners(y.size());
  const double flops = conv_flops(c, pooled ? 2 : 1);
  row(describe("  prepare", c), 0, [&] { k.conv.prepare(c, w.data(), prepared.data()); });
  if (pooled) {
    row(describe(k.conv.method(c), c) + " relu pool", flops, [&] {
      k.conv.forward_pooled(c, bias.data(), Activation::relu, x.data(), prepared.data(), y.data(),
                            winners.data(), scratch.data());
    });
  } else {
    const ConvEpilogue e{.bias = bias.data(), .activation = Activation::relu};
    row(describe(k.conv.method(c), c), flops,
        [&] { k.conv.forward(c, e, x.data(), prepared.data(), y.data(), scratch.data()); });
  }
}

// `alive` of the winners carry a gradient: about 0.7 at the start of training. GFLOP/s counts the living ones
// alone.
void pooled_gradient_rows(const Kernels& k, const Conv2d& c, double alive) {
  const auto x = random_values(c.batch * c.x_image), dy = random_values(c.batch * c.y_image);
  const auto w = random_values(c.kernel_h * c.kernel_w * c.channels * c.filters, 0.1f);
  auto dw = w, dx = x, by_filter = random_values(k.conv_gradient.by_filter_floats(c)),
       db = random_values(c.filters);
  auto scratch = random_values(std::max(k.conv_gradient.pooled_weights_scratch_floats(c),
                                        k.conv_gradient.pooled_data_scratch_floats(c)));
  std::vector<std::uint8_t> winners(dy.size());
  std::mt19937 bits(3);
  for (std::uint8_t& each : winners)
    each = bits() % 1000 < alive * 1000 ? static_cast<std::uint8_t>(bits() % 4) : kDead;
  const double flops = conv_flops(c, 1) * alive;
  row(describe("  by filter", c), 0,
      [&] { k.conv_gradient.prepare_by_filter(c, w.data(), by_filter.data()); });
  row(describe("pooled weight gradient", c), flops, [&] {
    k.conv_gradient.pooled_weights(c, x.data(), dy.data(), winners.data(), dw.data(), db.data(), false,
                                   scratch.data());
  });
  row(describe("pooled data gradient", c), flops, [&] {
    k.conv_gradient.pooled_data(c, by_filter.data(), dy.data(), winners.data(), dx.data(), false,
                                scratch.data());
  });
}

void gradient_rows(const Kernels& k, const Conv2d& c) {
  const auto x = random_values(c.batch * c.x_image), dy = random_values(c.batch * c.y_image);
  const auto w = random_values(c.kernel_h * c.kernel_w * c.channels * c.filters, 0.1f);
  const Conv2d back = backward_data(c);
  auto dw = w, dx = x, db = random_values(c.filters), prepared = random_values(k.conv.prepared_floats(back));
  auto scratch =
      random_values(std::max(k.conv_gradient.weights_scratch_floats(c), k.conv.scratch_floats(back)));
  row(describe("weight gradient", c), conv_flops(c, 1),
      [&] { k.conv_gradient.weights(c, x.data(), dy.data(), dw.data(), db.data(), false, scratch.data()); });
  row(describe("data gradient", c), conv_flops(c, 1),
      [&] { k.conv.forward(back, {}, dy.data(), prepared.data(), dx.data(), scratch.data()); });
}

void conv_rows(const Kernels& k) {
  std::printf("\nconvolutions, batch 8; GFLOP/s counted as direct arithmetic\n");
  conv_rows_of(k, image_conv(8, 28, 1, 3, 32, 0, 2, 12), true);
  conv_rows_of(k, image_conv(8, 13, 32, 3, 64, 0, 2), true);
  conv_rows_of(k, image_conv(8, 13, 48, 3, 80, 0, 2), true);
  conv_rows_of(k, image_conv(8, 28, 1, 5, 32, 0, 2), true);
  conv_rows_of(k, image_conv(8, 12, 32, 5, 64, 0, 2), true);
  conv_rows_of(k, image_conv(8, 32, 3, 3, 32, 0, 2), true);
  conv_rows_of(k, image_conv(8, 28, 1, 3, 32, 0, 1), false);
  conv_rows_of(k, image_conv(8, 13, 32, 3, 64, 0, 1), false);
  conv_rows_of(k, image_conv(8, 13, 32, 3, 64, 1, 1), false);
  conv_rows_of(k, image_conv(8, 28, 64, 3, 64, 1, 1), false);
  conv_rows_of(k, image_conv(8, 32, 3, 3, 32, 1, 1), false);
  conv_rows_of(k, image_conv(8, 32, 3, 5, 32, 2, 1), false);
  conv_rows_of(k, image_conv(8, 12, 32, 5, 64, 2, 1), false);
  conv_rows_of(k, image_conv(8, 14, 48, 3, 80, 1, 1), false);
  conv_rows_of(k, image_conv(8, 14, 64, 1, 64, 0, 1), false);
  pooled_gradient_rows(k, image_conv(8, 28, 1, 3, 32, 0, 2, 12), 0.7);
  pooled_gradient_rows(k, image_conv(8, 32, 3, 3, 32, 0, 2), 0.7);
  pooled_gradient_rows(k, image_conv(8, 13, 32, 3, 64, 0, 2), 0.7);
  pooled_gradient_rows(k, image_conv(8, 13, 48, 3, 80, 0, 2), 0.7);
  pooled_gradient_rows(k, image_conv(8, 12, 32, 5, 64, 0, 2), 0.7);
  gradient_rows(k, image_conv(8, 28, 1, 3, 32, 0, 1));
  gradient_rows(k, image_conv(8, 32, 3, 5, 32, 2, 1));
  gradient_rows(k, image_conv(8, 13, 32, 3, 64, 1, 1));
  gradient_rows(k, image_conv(8, 28, 64, 3, 64, 1, 1));
  gradient_rows(k, image_conv(8, 12, 32, 5, 64, 2, 1));
}

}  // namespace

int main(int argc, char** argv) {
  omp_set_num_threads(1);
  std::string group;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "base" || arg == "avx2" || arg == "avx512") {
      setenv("GPUNN_CPU_ISA", arg.c_str(), 1);
    } else {
      group = arg;
    }
  }
  const Kernels& k = kernels();
  std::printf("instruction set %s\n", k.name);
  measure_peak(k.isa);
  if (group.empty() || group == "dense") dense_rows(k);
  if (group.empty() || group == "conv") conv_rows(k);
}
