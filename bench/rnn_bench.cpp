// The recurrent kernels alone, on one thread: microseconds per sample forward and backward, and what share of
// the core's multiply-add peak their products make (the gates' arithmetic counts as nothing).
//
//   rnn_bench [units steps [rows]]     defaults: the shapes of the table
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <vector>

#include "bench/fma_peak.hpp"
#include "src/cpu/simd/dispatch.hpp"

namespace gpunn::cpu::simd {
namespace {

// Of this thread's own time: a core that is taken away for a while does not count.
double seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Free {
  void operator()(float* p) const { std::free(p); }
};

std::unique_ptr<float, Free> floats(std::size_t n, float scale = 0) {
  static std::mt19937 bits(1);
  std::uniform_real_distribution<float> value(-scale, scale);
  auto* p = static_cast<float*>(std::aligned_alloc(64, (n * sizeof(float) + 127) / 64 * 64));
  for (std::size_t i = 0; i < n; ++i) p[i] = scale > 0 ? value(bits) : 0.0f;
  return std::unique_ptr<float, Free>(p);
}

struct Times {
  double pack, forward, backward;  // best of many, in seconds
};

Times measure(const Kernels& kernels, const RnnShape& s) {
  const RnnKernels& rnn = kernels.rnn(s.cell);
  const auto rows = static_cast<std::size_t>(s.rows), steps = static_cast<std::size_t>(s.steps);
  const auto input = static_cast<std::size_t>(s.input), units = static_cast<std::size_t>(s.units);
  const std::size_t width = units * static_cast<std::size_t>(rnn_gates(s.cell));
  const auto x = floats(rows * steps * input, 1), kernel = floats(input * width, 0.1f),
             recurrent = floats(units * width, 0.1f), bias = floats(2 * width, 0.1f),
             dy = floats(rows * steps * units, 0.1f), packed = floats(rnn.packed_floats(s)),
             state = floats(rows * rnn.state_floats_per_row(s)), scratch = floats(rnn.scratch_floats(s)),
             y = floats(rows * steps * units), dx = floats(rows * steps * input),
             dkernel = floats(input * width), drecurrent = floats(units * width), dbias = floats(2 * width);
  const RnnInputs in{.x = x.get(), .packed = packed.get()};
  const RnnForward f{.in = in, .y = y.get(), .state = state.get(), .scratch = scratch.get()};
  const RnnBackward b{.in = in,
                      .y = y.get(),
                      .state = state.get(),
                      .dy = dy.get(),
                      .dx = dx.get(),
                      .dkernel = dkernel.get(),
                      .drecurrent = drecurrent.get(),
                      .dbias = dbias.get(),
                      .scratch = scratch.get()};
  Times best{1e9, 1e9, 1e9};
  const double begin = seconds();
  for (int i = 0; i < 5 || seconds() - begin < 0.3; ++i) {
    const double t0 = seconds();
    rnn.pack(s, {kernel.get(), recurrent.get(), bias.get()}, packed.get());
    const double t1 = seconds();
    rnn.forward(s, f);
    const double t2 = seconds();
    rnn.backward(s, b);
    const double t3 = seconds();
    best = {std::min(best.pack, t1 - t0), std::min(best.forward, t2 - t1), std::min(best.backward, t3 - t2)};
  }
  return best;
}

void print_row(const Kernels& kernels, const RnnShape& s) {
  const char* cells[] = {"simple", "gru", "gru before", "lstm"};
  const Times t = measure(kernels, s);
  const double product = 2.0 * static_cast<double>(s.rows * s.steps * rnn_gates(s.cell) * s.units);
  const double forward = product * static_cast<double>(s.input + s.units), backward = 2 * forward;
  const double flops = fma_peak(kernels.isa);
  const double rows = static_cast<double>(s.rows);
  std::printf(
      "%-7s %-11s %4ld %4ld %4ld %5ld  %9.1f %9.1f %9.1f   %4.0f %% %4.0f %% %4.0f %%  %7.1f  %6.2f\n",
      kernels.name, cells[static_cast<int>(s.cell)], static_cast<long>(s.rows), static_cast<long>(s.steps),
      static_cast<long>(s.input), static_cast<long>(s.units), t.forward / rows * 1e6, t.backward / rows * 1e6,
      (t.forward + t.backward) / rows * 1e6, 100 * forward / t.forward / flops,
      100 * backward / t.backward / flops, 100 * (forward + backward) / (t.forward + t.backward) / flops,
      t.pack * 1e6,
      static_cast<double>(kernels.rnn(s.cell).state_floats_per_row(s)) * 4 / static_cast<double>(s.steps) /
          1024);
}

void print_table() {
  for (const Isa isa : {Isa::avx512, Isa::avx2, Isa::base}) {
    const Kernels* kernels = kernels_for(isa);
    if (!kernels) continue;
    for (const RnnCell cell : {RnnCell::gru, RnnCell::lstm, RnnCell::gru_reset_before, RnnCell::simple}) {
      print_row(*kernels, {.cell = cell, .rows = 8, .steps = 100, .input = 64, .units = 64});
    }
  }
  const Kernels& kernels = simd::kernels();
  for (const std::int64_t rows : {1, 2, 4, 16, 32}) {
    print_row(kernels, {.cell = RnnCell::gru, .rows = rows, .steps = 100, .input = 64, .units = 64});
  }
  for (const std::int64_t units : {32, 128, 256, 512}) {
    for (const RnnCell cell : {RnnCell::gru, RnnCell::lstm}) {
      print_row(kernels, {.cell = cell, .rows = 8, .steps = 25, .input = units, .units = units});
    }
  }
  for (const std::int64_t steps : {25, 800}) {
    print_row(kernels, {.cell = RnnCell::gru, .rows = 8, .steps = steps, .input = 64, .units = 64});
  }
}

}  // namespace
}  // namespace gpunn::cpu::simd

int main(int count, char** words) {
  using namespace gpunn::cpu::simd;
  std::printf(
      "                    rows steps in units  us/sample forward, backward, both    share of peak       "
      "pack us  state KiB/row/step\n");
  if (count < 3) {
    print_table();
    return 0;
  }
  for (const RnnCell cell : {RnnCell::gru, RnnCell::lstm, RnnCell::gru_reset_before, RnnCell::simple}) {
    const std::int64_t units = std::atol(words[1]);
    print_row(kernels(), {.cell = cell,
                          .rows = count > 3 ? std::atol(words[3]) : 8,
                          .steps = std::atol(words[2]),
                          .input = units,
                          .units = units});
  }
}
