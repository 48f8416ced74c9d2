// Random layers, and the float kernels run on them with every buffer full of NaN and guarded at its end.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "src/cpu/simd/dispatch.hpp"
#include "tests/reference/rnn.hpp"

namespace gpunn::cpu::simd {

using reference::Numbers;
using reference::RnnGradients;
using reference::RnnOutputs;
using reference::RnnProblem;
using Floats = std::vector<float>;

// 64-byte aligned floats, NaN at first, with a guard behind them that must be found unharmed.
class Buffer {
 public:
  explicit Buffer(std::size_t floats) : floats_(floats), memory_(floats + 2 * kGuard + 16, kNaN) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    data_ = memory_.data() + (64 - address % 64) % 64 / sizeof(float);
    for (std::size_t i = 0; i < kGuard; ++i) data_[floats_ + i] = kMark;
  }
  explicit Buffer(const Numbers& values) : Buffer(values.size()) {
    for (std::size_t i = 0; i < floats_; ++i) data_[i] = static_cast<float>(values[i]);
  }
  Buffer(const Buffer&) = delete;
  float* data() { return data_; }
  float* or_null() { return floats_ ? data_ : nullptr; }
  Floats values() const { return Floats(data_, data_ + floats_); }
  bool unharmed() const {
    for (std::size_t i = 0; i < kGuard; ++i) {
      if (data_[floats_ + i] != kMark) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kGuard = 64;
  static constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(), kMark = 12345.0f;
  std::size_t floats_;
  Floats memory_;
  float* data_;
};

// What of the optional inputs a random problem has.
struct Options {
  bool bias = true, initial = false, mask = false;
  bool dy = true, last = false;  // where gradients come from
};

inline Numbers random_numbers(std::mt19937& bits, std::int64_t n, double scale) {
  std::normal_distribution<float> value;
  Numbers v(static_cast<std::size_t>(n));
  for (double& x : v) x = static_cast<float>(value(bits) * static_cast<float>(scale));
  return v;
}

inline Numbers random_dropout(std::mt19937& bits, std::int64_t n) {
  Numbers v(static_cast<std::size_t>(n));
  for (double& x : v) x = bits() % 4 == 0 ? 0.0 : static_cast<float>(4.0 / 3);
  return v;
}

inline RnnProblem random_problem(const RnnShape& s, Options o = {}, unsigned seed = 1) {
  std::mt19937 bits(seed);
  const std::int64_t gates = rnn_gates(s.cell), width = gates * s.units;
  RnnProblem p;
  p.shape = s;
  p.x = random_numbers(bits, s.rows * s.steps * s.input, 0.7);
  p.kernel = random_numbers(bits, s.input * width, 1 / std::sqrt(static_cast<double>(s.input)));
  p.recurrent = random_numbers(bits, s.units * width, 0.9 / std::sqrt(static_cast<double>(s.units)));
  if (o.bias) p.bias = random_numbers(bits, rnn_biases(s.cell) * width, 0.2);
  if (o.initial) p.h0 = random_numbers(bits, s.rows * s.units, 0.5);
  if (o.initial && s.cell == RnnCell::lstm) p.c0 = random_numbers(bits, s.rows * s.units, 0.5);
  if (o.mask) {
    for (std::int64_t i = 0; i < s.rows * s.steps; ++i) p.mask.push_back(bits() % 3 != 0);
  }
  p.input_mask = random_dropout(bits, s.rows * s.input_masks * s.input);
  p.recurrent_mask = random_dropout(bits, s.rows * s.recurrent_masks * s.units);
  if (o.dy && s.sequences) p.dy = random_numbers(bits, s.rows * s.steps * s.units, 0.1);
  if (o.last || !s.sequences) p.dh_last = random_numbers(bits, s.rows * s.units, 0.3);
  if (o.last && s.cell == RnnCell::lstm) p.dc_last = random_numbers(bits, s.rows * s.units, 0.3);
  return p;
}

struct FloatResults {
  Floats y, h_last, c_last, dx, dkernel, drecurrent, dbias, dh0, dc0;
};

// Forward and backward of one slice. `before`: what the gradients are added to; null: they overwrite NaN.
inline FloatResults run(const Kernels& kernels, const RnnProblem& p, const RnnGradients* before = nullptr) {
  const RnnShape& s = p.shape;
  const RnnKernels& rnn = kernels.rnn(s.cell);
  const bool lstm = s.cell == RnnCell::lstm;
  const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
  Buffer x(p.x), kernel(p.kernel), recurrent(p.recurrent), bias(p.bias), h0(p.h0), c0(p.c0),
      input_mask(p.input_mask), recurrent_mask(p.recurrent_mask), dy(p.dy), dh_last(p.dh_last),
      dc_last(p.dc_last);
  Buffer packed(rnn.packed_floats(s)), state(rnn.state_floats_per_row(s) * size(s.rows)),
      scratch(rnn.scratch_floats(s));
  Buffer y(size(s.sequences ? s.rows * s.steps * s.units : 0)), h_last(size(s.rows * s.units)),
      c_last(size(lstm ? s.rows * s.units : 0));
  rnn.pack(s, {kernel.data(), recurrent.data(), bias.or_null()}, packed.data());
  const RnnInputs in{x.data(),
                     packed.data(),
                     h0.or_null(),
                     c0.or_null(),
                     p.mask.empty() ? nullptr : p.mask.data(),
                     input_mask.or_null(),
                     recurrent_mask.or_null()};
  rnn.forward(s, {in, y.or_null(), h_last.data(), c_last.or_null(), state.or_null(), scratch.data()});

  FloatResults out{y.values(), h_last.values(), c_last.values(), {}, {}, {}, {}, {}, {}};
  if (s.training) {
    Buffer again(rnn.scratch_floats(s));
    const auto target = [&](const Numbers& old, std::int64_t n) {
      return before ? Buffer(old) : Buffer(size(n));
    };
    const RnnGradients none;
    const RnnGradients& old = before ? *before : none;
    Buffer dx = target(old.dx, s.rows * s.steps * s.input),
           dkernel = target(old.dkernel, size(p.kernel.size())),
           drecurrent = target(old.drecurrent, size(p.recurrent.size())),
           dbias = target(old.dbias, size(p.bias.size())), dh0 = target(old.dh0, s.rows * s.units),
           dc0 = target(old.dc0, lstm ? s.rows * s.units : 0);
    const bool add = before != nullptr;
    rnn.backward(s, {.in = in,
                     .y = y.or_null(),
                     .state = state.or_null(),
                     .dy = dy.or_null(),
                     .dh_last = dh_last.or_null(),
                     .dc_last = dc_last.or_null(),
                     .dx = dx.data(),
                     .dkernel = dkernel.data(),
                     .drecurrent = drecurrent.data(),
                     .dbias = dbias.or_null(),
                     .dh0 = dh0.data(),
                     .dc0 = dc0.or_null(),
                     .dx_add = add,
                     .dkernel_add = add,
                     .drecurrent_add = add,
                     .dbias_add = add,
                     .dh0_add = add,
                     .dc0_add = add,
                     .scratch = again.data()});
    for (const Buffer* b : {&dx, &dkernel, &drecurrent, &dbias, &dh0, &dc0, &again})
      EXPECT_TRUE(b->unharmed());
    out.dx = dx.values();
    out.dkernel = dkernel.values();
    out.drecurrent = drecurrent.values();
    out.dbias = dbias.values();
    out.dh0 = dh0.values();
    out.dc0 = dc0.values();
  }
  for (const Buffer* b : {&packed, &state, &scratch, &y, &h_last, &c_last}) EXPECT_TRUE(b->unharmed());
  return out;
}

inline std::string describe(const RnnShape& s) {
  const char* cells[] = {"simple", "gru", "gru_reset_before", "lstm"};
  return std::string(cells[static_cast<int>(s.cell)]) + " rows " + std::to_string(s.rows) + " steps " +
         std::to_string(s.steps) + " input " + std::to_string(s.input) + " units " + std::to_string(s.units);
}

// norm(got - want) <= 4 sqrt(terms) 2^-24 norm(want). A layer's longest sums have input + units or, in the
// weights' gradients, rows * steps terms; time adds little, because gates forget. Below 32 terms the
// activations' own errors, up to 3 units of the last place, are what is seen.
inline void expect_close(const Floats& got, const Numbers& want, const RnnShape& s, const char* what,
                         double slack = 1) {
  ASSERT_EQ(got.size(), want.size()) << what << " of " << describe(s);
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  const auto terms = static_cast<double>(std::max<std::int64_t>(32, s.input + s.units + s.rows * s.steps));
  const double bound = slack * 4 * std::sqrt(terms) * 0x1p-24;
  EXPECT_LE(std::sqrt(difference), bound * std::sqrt(norm))
      << what << " of " << describe(s) << ": relative error " << std::sqrt(difference / norm) << ", bound "
      << bound;
}

// The kernels against the oracle, in everything they write.
inline void expect_matches(const Kernels& kernels, const RnnProblem& p, double slack = 1) {
  const RnnShape& s = p.shape;
  const FloatResults got = run(kernels, p);
  const RnnOutputs out = reference::forward(p);
  if (s.sequences) expect_close(got.y, out.y, s, "y", slack);
  expect_close(got.h_last, out.h_last, s, "h_last", slack);
  if (s.cell == RnnCell::lstm) expect_close(got.c_last, out.c_last, s, "c_last", slack);
  if (!s.training) return;
  const RnnGradients g = reference::backward(p);
  expect_close(got.dx, g.dx, s, "dx", slack);
  expect_close(got.dkernel, g.dkernel, s, "dkernel", slack);
  expect_close(got.drecurrent, g.drecurrent, s, "drecurrent", slack);
  expect_close(got.dbias, g.dbias, s, "dbias", slack);
  expect_close(got.dh0, g.dh0, s, "dh0", slack);
  if (s.cell == RnnCell::lstm) expect_close(got.dc0, g.dc0, s, "dc0", slack);
}

}  // namespace gpunn::cpu::simd
