// Recurrent layers, one sequence after the other, in double, from the definitions; gradients by central
// differences.
#pragma once

#include "kernels/recurrent.hpp"
#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {

inline std::size_t size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

struct RecurrentCase {
  RecurrentCell cell;
  std::int64_t rows, steps, units;
  bool masked = false, reversed = false, biased = false;
  int masks = 0;  // of the state
  bool other_activations = false;
  RecurrentShape shape() const { return {cell, rows, steps, units, reversed}; }
};

// Gates apart: x and u are [gates, ..], and so is the recurrent bias.
struct RecurrentProblem {
  RecurrentCase c;
  Floats x, u, bias, h0, c0, keep, dy, dh_last, dc_last;
  std::vector<std::uint8_t> mask;
  std::int64_t gates() const { return recurrent_gates(c.cell); }
  bool lstm() const { return c.cell == RecurrentCell::lstm; }
};
inline RecurrentProblem make(const RecurrentCase& c) {
  RecurrentProblem p;
  p.c = c;
  const std::int64_t states = c.rows * c.units;
  p.x = uniform(p.gates() * states * c.steps, -1, 1);
  p.u = uniform(p.gates() * c.units * c.units, -0.4f, 0.4f, 2);
  if (c.biased) p.bias = uniform(p.gates() * c.units, -0.5f, 0.5f, 10);
  p.h0 = uniform(states, -1, 1, 3);
  if (p.lstm()) p.c0 = uniform(states, -1, 1, 4), p.dc_last = uniform(states, -1, 1, 5);
  p.keep = uniform(c.masks * states, 0, 2, 6);
  p.dy = uniform(states * c.steps, -1, 1, 7), p.dh_last = uniform(states, -1, 1, 8);
  if (c.masked) {
    for (const std::int32_t v : integers(c.rows * c.steps, 3, 9)) p.mask.push_back(v != 0 ? 1 : 0);
  }
  return p;
}

struct Values {  // what is differentiated
  Doubles x, u, h0, c0;
};
inline Values values_of(const RecurrentProblem& p) {
  const auto doubles = [](const Floats& v) { return Doubles(v.begin(), v.end()); };
  return {doubles(p.x), doubles(p.u), doubles(p.h0), doubles(p.c0)};
}
struct Outcome {
  Doubles y, h, c;
};
inline Outcome run(const RecurrentProblem& p, const Values& v) {
  const RecurrentCell cell = p.c.cell;
  const std::int64_t rows = p.c.rows, steps = p.c.steps, units = p.c.units, masks = p.c.masks;
  const bool other = p.c.other_activations, reversed = p.c.reversed;
  const auto gate = [&](double s) { return other ? std::tanh(s) : 1 / (1 + std::exp(-s)); };
  const auto state = [&](double s) { return other ? 1 / (1 + std::exp(-s)) : std::tanh(s); };
  Outcome out{Doubles(size(rows * steps * units)), v.h0, v.c0};
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t t = 0; t < steps; ++t) {
      const std::int64_t place = row * steps + (reversed ? steps - 1 - t : t);
      const auto x = [&](std::int64_t g, std::int64_t j) {
        return v.x[size((g * rows * steps + place) * units + j)];
      };
      const auto h = [&](std::int64_t j) { return out.h[size(row * units + j)]; };
      // The state as gate g meets it, times what else there is of each unit.
      const auto product = [&](std::int64_t g, std::int64_t j, const Doubles& times) {
        double sum = p.bias.empty() ? 0 : p.bias[size(g * units + j)];
        for (std::int64_t k = 0; k < units; ++k) {
          const double kept = masks == 0 ? 1 : p.keep[size((row * masks + (masks > 1 ? g : 0)) * units + k)];
          sum += h(k) * kept * times[size(k)] * v.u[size((g * units + k) * units + j)];
        }
        return sum;
      };
      const Doubles ones(size(units), 1.0);
      Doubles reset(size(units), 1.0), next_h, next_c;
      if (cell == RecurrentCell::gru_reset_before) {
        for (std::int64_t j = 0; j < units; ++j) reset[size(j)] = gate(x(1, j) + product(1, j, ones));
      }
      for (std::int64_t j = 0; j < units; ++j) {
        if (cell == RecurrentCell::simple) {
          next_h.push_back(state(x(0, j) + product(0, j, ones)));
        } else if (cell == RecurrentCell::lstm) {
          double s[4];
          for (int g = 0; g < 4; ++g) s[g] = x(g, j) + product(g, j, ones);
          next_c.push_back(gate(s[1]) * out.c[size(row * units + j)] + gate(s[0]) * state(s[2]));
          next_h.push_back(gate(s[3]) * state(next_c.back()));
        } else {
          const double z = gate(x(0, j) + product(0, j, ones));
          const double r = cell == RecurrentCell::gru ? gate(x(1, j) + product(1, j, ones)) : 1;
          next_h.push_back(z * h(j) + (1 - z) * state(x(2, j) + r * product(2, j, reset)));
        }
      }
      if (p.mask.empty() || p.mask[size(place)] != 0) {
        std::copy(next_h.begin(), next_h.end(), out.h.begin() + row * units);
        std::copy(next_c.begin(), next_c.end(), out.c.begin() + row * units);
      }
      std::copy(out.h.begin() + row * units, out.h.begin() + (row + 1) * units,
                out.y.begin() + (row * steps + t) * units);
    }
  }
  return out;
}
inline double objective(const RecurrentProblem& p, const Values& v) {
  const Outcome out = run(p, v);
  double sum = 0;
  for (std::size_t i = 0; i < out.y.size(); ++i) sum += p.dy[i] * out.y[i];
  for (std::size_t i = 0; i < out.h.size(); ++i) sum += p.dh_last[i] * out.h[i];
  for (std::size_t i = 0; i < out.c.size(); ++i) sum += p.dc_last[i] * out.c[i];
  return sum;
}
// Every `step`-th of n elements: differences run the whole reference twice for each.
inline std::vector<std::size_t> every(std::size_t n, std::size_t step = 1) {
  std::vector<std::size_t> elements;
  for (std::size_t i = 0; i < n; i += step) elements.push_back(i);
  return elements;
}
// d objective / d which[i], for the elements asked for.
inline Doubles differences(const RecurrentProblem& p, Values v, Doubles Values::*which,
                           const std::vector<std::size_t>& elements) {
  Doubles result;
  for (const std::size_t i : elements) {
    const double old = (v.*which)[i], h = 1e-5;
    (v.*which)[i] = old + h;
    const double above = objective(p, v);
    (v.*which)[i] = old - h;
    result.push_back((above - objective(p, v)) / (2 * h));
    (v.*which)[i] = old;
  }
  return result;
}

// [gates, places, units] to [places, gates, units], and back.
inline Floats side_by_side(const Floats& apart, std::int64_t gates, std::int64_t units, bool back = false) {
  Floats result(apart.size());
  const std::int64_t places = apart.empty() ? 0 : static_cast<std::int64_t>(apart.size()) / gates / units;
  for (std::int64_t g = 0; g < gates; ++g) {
    for (std::int64_t i = 0; i < places; ++i) {
      for (std::int64_t j = 0; j < units; ++j) {
        const std::size_t a = size((g * places + i) * units + j), b = size((i * gates + g) * units + j);
        back ? result[a] = apart[b] : result[b] = apart[a];
      }
    }
  }
  return result;
}

}  // namespace gpunn::kernels
