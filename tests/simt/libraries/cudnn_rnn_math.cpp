// The formulas of cudnnRNNMode_t, in double, and their derivatives.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "cudnn_rnn.hpp"

namespace simt::cudnn {
namespace {

double logistic(double v) {
  return 1 / (1 + std::exp(-v));
}

double rounded(float v, bool tensor_cores) {
  if (!tensor_cores) return static_cast<double>(v);
  std::uint32_t bits;  // 10 bits of mantissa
  std::memcpy(&bits, &v, sizeof v);
  bits = (bits + 0x1000u) & ~0x1fffu;
  std::memcpy(&v, &bits, sizeof v);
  return static_cast<double>(v);
}

// Matrix and bias of one part of the weights.
struct Part {
  const float* matrix;
  const float* bias;  // or null
  std::int64_t columns;
  bool tensor_cores;

  Part(const RnnCall& call, int number)
      : matrix(call.weights + call.rnn.matrix_at(number)),
        bias(call.rnn.has_bias(number) ? call.weights + call.rnn.bias_at(number) : nullptr),
        columns(call.rnn.columns(number)),
        tensor_cores(call.rnn.tensor_cores) {}

  double weight(std::int64_t unit, std::int64_t column) const {
    return rounded(matrix[unit * columns + column], tensor_cores);
  }
  // Row `unit` times v, and the bias.
  template <class T>
  double sum(std::int64_t unit, const T* v) const {
    double total = bias == nullptr ? 0 : static_cast<double>(bias[unit]);
    for (std::int64_t i = 0; i < columns; ++i)
      total += weight(unit, i) * rounded(static_cast<float>(v[i]), tensor_cores);
    return total;
  }
};

}  // namespace

void RnnCall::forward() const {
  const std::int64_t units = rnn.units;
  const int gates = rnn.gates();
  const auto n = static_cast<std::size_t>(units);
  for (std::int64_t row = 0; row < batch; ++row) {
    std::vector<double> h(n), c(n), next(n), scratch(static_cast<std::size_t>(record()));
    for (std::int64_t u = 0; u < units; ++u) {
      const auto k = static_cast<std::size_t>(u);
      if (hx != nullptr) h[k] = static_cast<double>(hx[row * units + u]);
      if (cx != nullptr) c[k] = static_cast<double>(cx[row * units + u]);
    }
    for (std::int64_t step = 0; step < steps; ++step) {
      double* kept = reserve == nullptr ? scratch.data() : at(row, step);
      const float* in = x + (row * steps + step) * rnn.input;
      const auto both = [&](int gate, std::int64_t u) {
        return Part(*this, gate).sum(u, in) + Part(*this, gate + gates).sum(u, h.data());
      };
      for (std::int64_t u = 0; u < units; ++u) {
        const auto k = static_cast<std::size_t>(u);
        if (rnn.mode == CUDNN_LSTM) {
          const double i = logistic(both(0, u)), f = logistic(both(1, u)), memory = std::tanh(both(2, u)),
                       o = logistic(both(3, u));
          c[k] = f * c[k] + i * memory;
          next[k] = o * std::tanh(c[k]);
          kept[u] = i, kept[units + u] = f, kept[2 * units + u] = memory, kept[3 * units + u] = o;
          kept[4 * units + u] = c[k];
        } else if (rnn.mode == CUDNN_GRU) {
          const double r = logistic(both(0, u)), i = logistic(both(1, u));
          const double of_state = Part(*this, 5).sum(u, h.data());
          const double memory = std::tanh(Part(*this, 2).sum(u, in) + r * of_state);
          next[k] = (1 - i) * memory + i * h[k];
          kept[u] = r, kept[units + u] = i, kept[2 * units + u] = memory, kept[3 * units + u] = of_state;
        } else {
          const double sum = both(0, u);
          next[k] = rnn.mode == CUDNN_RNN_RELU ? std::max(sum, 0.0) : std::tanh(sum);
          kept[u] = next[k];
        }
      }
      h = next;
      for (std::int64_t u = 0; u < units; ++u)
        y[(row * steps + step) * units + u] = static_cast<float>(h[static_cast<std::size_t>(u)]);
    }
    for (std::int64_t u = 0; u < units; ++u) {
      if (hy != nullptr) hy[row * units + u] = static_cast<float>(h[static_cast<std::size_t>(u)]);
      if (cy != nullptr && rnn.mode == CUDNN_LSTM)
        cy[row * units + u] = static_cast<float>(c[static_cast<std::size_t>(u)]);
    }
  }
}

void RnnCall::backward_data() const {
  const std::int64_t units = rnn.units;
  const int gates = rnn.gates();
  const auto n = static_cast<std::size_t>(units);
  std::vector<Part> parts;
  for (int part = 0; part < 2 * gates; ++part) parts.emplace_back(*this, part);
  const auto value = [&](const float* from, std::int64_t i) {
    return from == nullptr ? 0.0 : static_cast<double>(from[i]);
  };
  for (std::int64_t row = 0; row < batch; ++row) {
    std::vector<double> dh(n), dc(n), before(n);
    for (std::int64_t u = 0; u < units; ++u) {
      dh[static_cast<std::size_t>(u)] = value(dhy, row * units + u);
      dc[static_cast<std::size_t>(u)] = value(dcy, row * units + u);
    }
    for (std::int64_t step = steps; step-- > 0;) {
      double* kept = at(row, step);
      double *of_x = kept + 5 * units, *of_h = of_x + gates * units;
      for (std::int64_t u = 0; u < units; ++u) {
        const auto k = static_cast<std::size_t>(u);
        const double flow = dh[k] + static_cast<double>(dy[(row * steps + step) * units + u]);
        const double old_h = step == 0 ? value(hx, row * units + u)
                                       : static_cast<double>(y[(row * steps + step - 1) * units + u]);
        before[k] = 0;
        const auto sums = [&](int gate, double gradient, double state_gradient) {
          of_x[gate * units + u] = gradient, of_h[gate * units + u] = state_gradient;
        };
        if (rnn.mode == CUDNN_LSTM) {
          const double i = kept[u], f = kept[units + u], memory = kept[2 * units + u],
                       o = kept[3 * units + u], c = kept[4 * units + u];
          const double old_c = step == 0 ? value(cx, row * units + u) : at(row, step - 1)[4 * units + u];
          const double out = std::tanh(c), cell = dc[k] + flow * o * (1 - out * out);
          const double all[] = {cell * memory * i * (1 - i), cell * old_c * f * (1 - f),
                                cell * i * (1 - memory * memory), flow * out * o * (1 - o)};
          for (int gate = 0; gate < 4; ++gate) sums(gate, all[gate], all[gate]);
          dc[k] = cell * f;
        } else if (rnn.mode == CUDNN_GRU) {
          const double r = kept[u], i = kept[units + u], memory = kept[2 * units + u],
                       of_state = kept[3 * units + u];
          const double inner = flow * (1 - i) * (1 - memory * memory);
          const double reset = inner * of_state * r * (1 - r), update = flow * (old_h - memory) * i * (1 - i);
          sums(0, reset, reset), sums(1, update, update), sums(2, inner, inner * r);
          before[k] = flow * i;
        } else {
          const double h = kept[u];
          const double slope = rnn.mode == CUDNN_RNN_RELU ? (h > 0 ? 1.0 : 0.0) : 1 - h * h;
          sums(0, flow * slope, flow * slope);
        }
      }
      for (std::int64_t i = 0; i < rnn.input; ++i) {
        double total = 0;
        for (int gate = 0; gate < gates; ++gate)
          for (std::int64_t u = 0; u < units; ++u)
            total += parts[static_cast<std::size_t>(gate)].weight(u, i) * of_x[gate * units + u];
        dx[(row * steps + step) * rnn.input + i] = static_cast<float>(total);
      }
      for (int gate = 0; gate < gates; ++gate)
        for (std::int64_t u = 0; u < units; ++u)
          for (std::int64_t v = 0; v < units; ++v)
            before[static_cast<std::size_t>(v)] +=
                parts[static_cast<std::size_t>(gate + gates)].weight(u, v) * of_h[gate * units + u];
      dh = before;
    }
    for (std::int64_t u = 0; u < units; ++u) {
      if (dhx != nullptr) dhx[row * units + u] = static_cast<float>(dh[static_cast<std::size_t>(u)]);
      if (dcx != nullptr) dcx[row * units + u] = static_cast<float>(dc[static_cast<std::size_t>(u)]);
    }
  }
}

void RnnCall::backward_weights() const {
  const std::int64_t units = rnn.units;
  const int gates = rnn.gates();
  for (int part = 0; part < 2 * gates; ++part) {
    const bool of_state = part >= gates;
    const std::int64_t columns = rnn.columns(part);
    for (std::int64_t u = 0; u < units; ++u) {
      std::vector<double> total(static_cast<std::size_t>(columns));
      double bias = 0;
      for (std::int64_t row = 0; row < batch; ++row) {
        for (std::int64_t step = 0; step < steps; ++step) {
          const double gradient = at(row, step)[(5 + part) * units + u];
          bias += gradient;
          const float* operand = x + (row * steps + step) * rnn.input;
          if (of_state && step > 0) operand = y + (row * steps + step - 1) * units;
          if (of_state && step == 0) operand = hx == nullptr ? nullptr : hx + row * units;
          if (operand == nullptr) continue;
          for (std::int64_t i = 0; i < columns; ++i)
            total[static_cast<std::size_t>(i)] += gradient * static_cast<double>(operand[i]);
        }
      }
      float* to = dweights + rnn.matrix_at(part) + u * columns;
      for (std::int64_t i = 0; i < columns; ++i)
        to[i] += static_cast<float>(total[static_cast<std::size_t>(i)]);
      if (rnn.has_bias(part)) dweights[rnn.bias_at(part) + u] += static_cast<float>(bias);
    }
  }
}

}  // namespace simt::cudnn
