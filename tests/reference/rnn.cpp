#include "tests/reference/rnn.hpp"

#include <algorithm>
#include <cmath>

namespace gpunn::reference {
namespace {

double slope(RnnActivation kind, double x) {
  const double y = activate(kind, x);
  switch (kind) {
    case RnnActivation::linear:
      return 1;
    case RnnActivation::tanh:
      return 1 - y * y;
    case RnnActivation::sigmoid:
      return y * (1 - y);
    case RnnActivation::relu:
      return x > 0 ? 1 : 0;
    case RnnActivation::gelu:
      return y / x + x * std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0));
    case RnnActivation::silu: {
      const double s = 1 / (1 + std::exp(-x));
      return s + x * s * (1 - s);
    }
    case RnnActivation::hard_sigmoid:
      return std::abs(x) < 3 ? 1.0 / 6 : 0;
    case RnnActivation::elu:
      return x > 0 ? 1 : std::exp(x);
    case RnnActivation::selu:
      return 1.0507009873554805 * (x > 0 ? 1 : 1.6732632423543772 * std::exp(x));
    case RnnActivation::softplus:
      return 1 / (1 + std::exp(-x));
    case RnnActivation::softsign:
      return 1 / ((1 + std::abs(x)) * (1 + std::abs(x)));
    case RnnActivation::exponential:
      return std::exp(x);
  }
  return 0;
}

// One row of the batch at one time step: everything that backward needs, and nothing clever.
struct Moment {
  bool skipped = false;
  Numbers h, c;        // before the step
  Numbers from_input;  // [gates * units], with the input's bias
  Numbers from_state;  // [gates * units], with the state's bias
  Numbers sum;         // [gates * units]: what the activations are applied to
  Numbers value;       // [gates * units]: z r g, i f g o, or h'
  Numbers h_next, c_next;
};

class Walk {
 public:
  explicit Walk(const RnnProblem& p)
      : p_(p), s_(p.shape), gates_(rnn_gates(s_.cell)), units_(s_.units), width_(gates_ * units_) {}

  RnnOutputs forward();
  RnnGradients backward();

 private:
  double input_scale(std::int64_t row, std::int64_t gate, std::int64_t k) const {
    if (s_.input_masks == 0) return 1;
    return p_.input_mask[(row * s_.input_masks + (s_.input_masks > 1 ? gate : 0)) * s_.input + k];
  }
  double state_scale(std::int64_t row, std::int64_t gate, std::int64_t k) const {
    if (s_.recurrent_masks == 0) return 1;
    return p_.recurrent_mask[(row * s_.recurrent_masks + (s_.recurrent_masks > 1 ? gate : 0)) * units_ + k];
  }
  std::int64_t tensor_step(std::int64_t t) const { return s_.reversed ? s_.steps - 1 - t : t; }
  const double* x_at(std::int64_t row, std::int64_t t) const {
    return p_.x.data() + (row * s_.steps + tensor_step(t)) * s_.input;
  }
  Moment& at(std::int64_t row, std::int64_t t) { return moments_[row * s_.steps + t]; }
  RnnActivation kind(std::int64_t gate) const {
    const bool candidate = s_.cell == RnnCell::simple || gate == 2;
    return candidate ? s_.activation : s_.recurrent_activation;
  }

  void compute(std::int64_t row, Moment& m);
  void backward_step(std::int64_t row, std::int64_t t, Numbers& dh, Numbers& dc, RnnGradients& g);
  void gate_gradient(std::int64_t row, std::int64_t t, std::int64_t gate, std::int64_t u, Numbers& dvalue,
                     Numbers& dh_before, RnnGradients& g);

  const RnnProblem& p_;
  const RnnShape& s_;
  std::int64_t gates_, units_, width_;
  std::vector<Moment> moments_;
};

void Walk::compute(std::int64_t row, Moment& m) {
  const bool gru = s_.cell == RnnCell::gru, before = s_.cell == RnnCell::gru_reset_before;
  m.sum.assign(width_, 0);
  m.value.assign(width_, 0);
  m.from_state.assign(width_, 0);
  for (std::int64_t gate = 0; gate < gates_; ++gate) {
    for (std::int64_t u = 0; u < units_; ++u) {
      const std::int64_t col = gate * units_ + u;
      double state = gru && !p_.bias.empty() ? p_.bias[width_ + col] : 0;
      for (std::int64_t k = 0; k < units_; ++k) {
        const double reset = before && gate == 2 ? m.value[units_ + k] : 1;
        state += reset * m.h[k] * state_scale(row, gate, k) * p_.recurrent[k * width_ + col];
      }
      m.from_state[col] = state;
      m.sum[col] = m.from_input[col] + (gru && gate == 2 ? m.value[units_ + u] * state : state);
      m.value[col] = activate(kind(gate), m.sum[col]);
    }
  }
  m.h_next.resize(units_);
  m.c_next = m.c;
  for (std::int64_t u = 0; u < units_; ++u) {
    const auto gate = [&](int k) { return m.value[k * units_ + u]; };
    switch (s_.cell) {
      case RnnCell::simple:
        m.h_next[u] = gate(0);
        break;
      case RnnCell::gru:
      case RnnCell::gru_reset_before:
        m.h_next[u] = gate(0) * m.h[u] + (1 - gate(0)) * gate(2);
        break;
      case RnnCell::lstm:
        m.c_next[u] = gate(1) * m.c[u] + gate(0) * gate(2);
        m.h_next[u] = gate(3) * activate(s_.activation, m.c_next[u]);
    }
  }
}

RnnOutputs Walk::forward() {
  moments_.assign(s_.rows * s_.steps, {});
  RnnOutputs out;
  out.y.resize(s_.rows * s_.steps * units_);
  for (std::int64_t row = 0; row < s_.rows; ++row) {
    Numbers h(units_), c(units_);
    if (!p_.h0.empty()) std::copy_n(p_.h0.data() + row * units_, units_, h.begin());
    if (!p_.c0.empty()) std::copy_n(p_.c0.data() + row * units_, units_, c.begin());
    for (std::int64_t t = 0; t < s_.steps; ++t) {
      Moment& m = at(row, t);
      m.h = h;
      m.c = c;
      m.skipped = !p_.mask.empty() && !p_.mask[row * s_.steps + tensor_step(t)];
      if (!m.skipped) {
        m.from_input.assign(width_, 0);
        for (std::int64_t col = 0; col < width_; ++col) {
          double sum = p_.bias.empty() ? 0 : p_.bias[col];
          for (std::int64_t k = 0; k < s_.input; ++k) {
            sum += x_at(row, t)[k] * input_scale(row, col / units_, k) * p_.kernel[k * width_ + col];
          }
          m.from_input[col] = sum;
        }
        compute(row, m);
        h = m.h_next;
        c = m.c_next;
      }
      std::copy(h.begin(), h.end(), out.y.begin() + (row * s_.steps + t) * units_);
    }
    out.h_last.insert(out.h_last.end(), h.begin(), h.end());
    out.c_last.insert(out.c_last.end(), c.begin(), c.end());
  }
  return out;
}

void Walk::gate_gradient(std::int64_t row, std::int64_t t, std::int64_t gate, std::int64_t u, Numbers& dvalue,
                         Numbers& dh_before, RnnGradients& g) {
  const bool gru = s_.cell == RnnCell::gru, before = s_.cell == RnnCell::gru_reset_before;
  const Moment& m = at(row, t);
  const std::int64_t col = gate * units_ + u;
  const double dsum = dvalue[col] * slope(kind(gate), m.sum[col]);
  double dstate = dsum;
  if (gru && gate == 2) {
    dvalue[units_ + u] += dsum * m.from_state[col];
    dstate = dsum * m.value[units_ + u];
  }
  if (!p_.bias.empty()) g.dbias[col] += dsum;
  if (!p_.bias.empty() && gru) g.dbias[width_ + col] += dstate;
  for (std::int64_t k = 0; k < s_.input; ++k) {
    const double scale = input_scale(row, gate, k), x = x_at(row, t)[k];
    g.dkernel[k * width_ + col] += dsum * x * scale;
    g.dx[(row * s_.steps + tensor_step(t)) * s_.input + k] += dsum * scale * p_.kernel[k * width_ + col];
  }
  for (std::int64_t k = 0; k < units_; ++k) {
    const double scale = state_scale(row, gate, k), weight = p_.recurrent[k * width_ + col];
    const double reset = before && gate == 2 ? m.value[units_ + k] : 1;
    g.drecurrent[k * width_ + col] += dstate * reset * m.h[k] * scale;
    dh_before[k] += dstate * weight * reset * scale;
    if (before && gate == 2) dvalue[units_ + k] += dstate * weight * m.h[k] * scale;
  }
}

void Walk::backward_step(std::int64_t row, std::int64_t t, Numbers& dh, Numbers& dc, RnnGradients& g) {
  const Moment& m = at(row, t);
  Numbers dvalue(width_), dh_before(units_), dc_before(units_);
  for (std::int64_t u = 0; u < units_; ++u) {
    const auto gate = [&](int k) { return m.value[k * units_ + u]; };
    const auto dgate = [&](int k) -> double& { return dvalue[k * units_ + u]; };
    switch (s_.cell) {
      case RnnCell::simple:
        dgate(0) = dh[u];
        break;
      case RnnCell::gru:
      case RnnCell::gru_reset_before:
        dgate(0) = dh[u] * (m.h[u] - gate(2));
        dgate(2) = dh[u] * (1 - gate(0));
        dh_before[u] += dh[u] * gate(0);
        break;
      case RnnCell::lstm: {
        const double d = dc[u] + dh[u] * gate(3) * slope(s_.activation, m.c_next[u]);
        dgate(0) = d * gate(2);
        dgate(1) = d * m.c[u];
        dgate(2) = d * gate(0);
        dgate(3) = dh[u] * activate(s_.activation, m.c_next[u]);
        dc_before[u] = d * gate(1);
      }
    }
  }
  // From the last gate down, because the candidate's gradient adds to that of the reset gate.
  for (std::int64_t gate = gates_ - 1; gate >= 0; --gate) {
    for (std::int64_t u = 0; u < units_; ++u) gate_gradient(row, t, gate, u, dvalue, dh_before, g);
  }
  dh = dh_before;
  dc = dc_before;
}

RnnGradients Walk::backward() {
  forward();
  RnnGradients g;
  g.dx.resize(p_.x.size());
  g.dkernel.resize(p_.kernel.size());
  g.drecurrent.resize(p_.recurrent.size());
  g.dbias.resize(p_.bias.size());
  for (std::int64_t row = 0; row < s_.rows; ++row) {
    Numbers dh(units_), dc(units_);
    if (!p_.dh_last.empty()) std::copy_n(p_.dh_last.data() + row * units_, units_, dh.begin());
    if (!p_.dc_last.empty()) std::copy_n(p_.dc_last.data() + row * units_, units_, dc.begin());
    for (std::int64_t t = s_.steps - 1; t >= 0; --t) {
      if (!p_.dy.empty()) {
        for (std::int64_t u = 0; u < units_; ++u) dh[u] += p_.dy[(row * s_.steps + t) * units_ + u];
      }
      if (!at(row, t).skipped) backward_step(row, t, dh, dc, g);
    }
    g.dh0.insert(g.dh0.end(), dh.begin(), dh.end());
    g.dc0.insert(g.dc0.end(), dc.begin(), dc.end());
  }
  return g;
}

}  // namespace

double activate(RnnActivation kind, double x) {
  switch (kind) {
    case RnnActivation::linear:
      return x;
    case RnnActivation::tanh:
      return std::tanh(x);
    case RnnActivation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case RnnActivation::relu:
      return x > 0 ? x : 0;
    case RnnActivation::gelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case RnnActivation::silu:
      return x / (1 + std::exp(-x));
    case RnnActivation::hard_sigmoid:
      return std::clamp(x / 6 + 0.5, 0.0, 1.0);
    case RnnActivation::elu:
      return x > 0 ? x : std::expm1(x);
    case RnnActivation::selu:
      return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x));
    case RnnActivation::softplus:
      return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
    case RnnActivation::softsign:
      return x / (1 + std::abs(x));
    case RnnActivation::exponential:
      return std::exp(x);
  }
  return 0;
}

RnnOutputs forward(const RnnProblem& problem) {
  return Walk(problem).forward();
}
RnnGradients backward(const RnnProblem& problem) {
  return Walk(problem).backward();
}

double loss(const RnnProblem& p) {
  const RnnOutputs out = forward(p);
  double sum = 0;
  for (std::size_t i = 0; i < p.dy.size(); ++i) sum += out.y[i] * p.dy[i];
  for (std::size_t i = 0; i < p.dh_last.size(); ++i) sum += out.h_last[i] * p.dh_last[i];
  for (std::size_t i = 0; i < p.dc_last.size(); ++i) sum += out.c_last[i] * p.dc_last[i];
  return sum;
}

}  // namespace gpunn::reference
