#include "kernels/softmax_cross_entropy.hpp"

#include <cmath>

#include "kernels/loss.cuh"

namespace gpunn::kernels {
namespace {

constexpr float kClip = 1e-7f;  // Keras's epsilon

template <class Targets>
struct SoftmaxRow {
  std::int64_t columns;
  const float* x;
  Targets targets;
  const float* weights;
  float* probabilities;
  bool with_metric;
  LossGradient gradient;

  template <int kGroup>
  __device__ Tally operator()(const RowGroup<kGroup>& group, std::int64_t r) const {
    const float* in = x + r * columns;
    const auto target = targets.row(r, columns);
    const bool valid = target.valid(columns);
    const float weight = weight_of(weights, r);
    float highest = -INFINITY;
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) highest = fmaxf(highest, in[c]);
    highest = group.reduce(highest, Max{});
    float exps = 0, cross = 0, mass = 0;
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) {
      const float t = target.at(c);
      exps += expf(in[c] - highest);
      cross += t == 0.0f ? 0.0f : t * (in[c] - highest);  // 0 * -inf is no loss
      mass += t;
    }
    exps = group.reduce(exps, Sum{});
    cross = group.reduce(cross, Sum{});
    mass = group.reduce(mass, Sum{});
    float hit = 0;
    if (with_metric) {
      const float guess = first_greatest(group, columns, [in](std::int64_t c) { return in[c]; });
      hit = valid && guess == target.greatest(group, columns) ? 1.0f : 0.0f;
    }
    const float factor = gradient_factor(gradient) * weight;
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) {
      const float p = expf(in[c] - highest) / exps;
      if (probabilities != nullptr) probabilities[r * columns + c] = p;
      if (gradient.dx != nullptr) {
        put_gradient(gradient, r * columns + c, valid ? factor * (mass * p - target.at(c)) : NAN);
      }
    }
    const float loss = valid ? mass * logf(exps) - cross : NAN;
    return {weight * loss, 1, weight * hit, weight};
  }
};

template <class Targets>
struct SoftmaxBackward {
  std::int64_t columns;
  const float* probabilities;
  Targets targets;
  const float* weights;
  LossGradient gradient;

  template <int kGroup>
  __device__ void operator()(const RowGroup<kGroup>& group, std::int64_t r) const {
    const auto target = targets.row(r, columns);
    float mass = 0;
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) mass += target.at(c);
    mass = group.reduce(mass, Sum{});
    const bool valid = target.valid(columns);
    const float factor = gradient_factor(gradient) * weight_of(weights, r);
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) {
      const float d = factor * (mass * probabilities[r * columns + c] - target.at(c));
      put_gradient(gradient, r * columns + c, valid ? d : NAN);
    }
  }
};

// NaN stays NaN.
__device__ float clipped(float q) {
  return q < kClip ? kClip : (q > 1.0f - kClip ? 1.0f - kClip : q);
}

template <class Targets>
struct ProbabilityRow {
  std::int64_t columns;
  const float* p;
  Targets targets;
  const float* weights;
  bool with_metric;
  LossGradient gradient;

  template <int kGroup>
  __device__ Tally operator()(const RowGroup<kGroup>& group, std::int64_t r) const {
    const float* in = p + r * columns;
    const auto target = targets.row(r, columns);
    const bool valid = target.valid(columns);
    const float weight = weight_of(weights, r);
    float sum = 0;
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) sum += in[c];
    sum = group.reduce(sum, Sum{});
    float cross = 0, through = 0;  // through: what flows back into the sum that all are divided by
    for (std::int64_t c = group.rank(); c < columns; c += kGroup) {
      const float q = in[c] / sum, t = target.at(c);
      cross += t == 0.0f ? 0.0f * q : t * logf(clipped(q));
      through += slope(q, t) * q;
    }
    cross = group.reduce(cross, Sum{});
    through = group.reduce(through, Sum{});
    float hit = 0;
    if (with_metric) {
      const float guess = first_greatest(group, columns, [in](std::int64_t c) { return in[c]; });
      hit = valid && guess == target.greatest(group, columns) ? 1.0f : 0.0f;
    }
    if (gradient.dx != nullptr) {
      const float factor = gradient_factor(gradient) * weight / sum;
      for (std::int64_t c = group.rank(); c < columns; c += kGroup) {
        const float d = factor * (slope(in[c] / sum, target.at(c)) - through);
        put_gradient(gradient, r * columns + c, valid ? d : NAN);
      }
    }
    return {weight * (valid ? -cross : NAN), 1, weight * hit, weight};
  }
  // Of -t * log(clip(q)).
  __device__ static float slope(float q, float t) { return q == clipped(q) ? -t / q : 0.0f; }
};

template <class Targets>
struct AccuracyRow {
  std::int64_t columns;
  const float* predictions;
  Targets targets;
  const float* weights;

  template <int kGroup>
  __device__ Tally operator()(const RowGroup<kGroup>& group, std::int64_t r) const {
    const float* in = predictions + r * columns;
    const auto target = targets.row(r, columns);
    const float guess = first_greatest(group, columns, [in](std::int64_t c) { return in[c]; });
    const bool hit = target.valid(columns) && guess == target.greatest(group, columns);
    const float weight = weight_of(weights, r);
    return {0, 1, hit ? weight : 0.0f, weight};
  }
};

template <class Use>
void with_targets(ClassTargets targets, Use use) {
  require((targets.labels == nullptr) != (targets.distribution == nullptr),
          "cross_entropy: either labels or a distribution");
  if (targets.labels != nullptr) return use(Labels{targets.labels});
  use(Distribution{targets.distribution});
}

}  // namespace

std::int64_t loss_scratch_floats(Matrix shape) {
  const std::int64_t most = std::max(loss_row_chunks(shape).count, loss_element_chunks(shape).count);
  return most == 1 ? 0 : 4 * most;
}

void softmax_cross_entropy(Gpu gpu, Matrix shape, const float* x, ClassTargets targets, const float* weights,
                           const LossOutputs& out, const LossGradient& gradient) {
  with_targets(targets, [&](auto t) {
    const bool metric = out.metric != nullptr;
    for_each_loss_row(
        gpu, shape,
        SoftmaxRow<decltype(t)>{shape.columns, x, t, weights, out.probabilities, metric, gradient}, out);
  });
}

void softmax_cross_entropy_backward(Gpu gpu, Matrix shape, const float* probabilities, ClassTargets targets,
                                    const float* weights, const LossGradient& gradient) {
  with_targets(targets, [&](auto t) {
    for_each_row(gpu, shape.rows, shape.columns,
                 SoftmaxBackward<decltype(t)>{shape.columns, probabilities, t, weights, gradient});
  });
}

void cross_entropy(Gpu gpu, Matrix shape, const float* p, ClassTargets targets, const float* weights,
                   const LossOutputs& out, const LossGradient& gradient) {
  with_targets(targets, [&](auto t) {
    const bool metric = out.metric != nullptr;
    for_each_loss_row(gpu, shape, ProbabilityRow<decltype(t)>{shape.columns, p, t, weights, metric, gradient},
                      out);
  });
}

void class_accuracy(Gpu gpu, Matrix shape, const float* predictions, ClassTargets targets,
                    const float* weights, const LossOutputs& out) {
  with_targets(targets, [&](auto t) {
    for_each_loss_row(gpu, shape, AccuracyRow<decltype(t)>{shape.columns, predictions, t, weights},
                      {.metric = out.metric, .scratch = out.scratch});
  });
}

}  // namespace gpunn::kernels
