#include "src/cpu/simd/loss.hpp"

#include "src/cpu/simd/math.hpp"

namespace gpunn::cpu::simd {
namespace {

float weight_of(const LossRows& r, int64_t row) {
  return r.weights ? r.weights[row / r.rows_per_weight] : 1.0f;
}

// Neutral where a tail's lanes hold nothing.
template <class Part>
GPUNN_INLINE Vec load_or(const float* p, Part part, float otherwise) {
  return keep(load(p, part), part, otherwise);
}

// The log of a scalar through the vector's, so that loss and probabilities agree.
float log_of(float x) {
  return log(splat(x))[0];
}

struct Normalizer {
  float largest, sum;  // sum of e^(x - largest)
};

// y = e^(x - largest)
Normalizer exponentials(int64_t width, const float* x, float* y) {
  Vec most = splat(-kInfinity);
  for_vectors(width, [&](int64_t j, auto part) { most = max(most, load_or(x + j, part, -kInfinity)); });
  const float largest = max_lanes(most);
  Vec sum{};
  for_vectors(width, [&](int64_t j, auto part) {
    const Vec e = exp(load_or(x + j, part, -kInfinity) - largest);
    sum += e;
    store(y + j, e, part);
  });
  return {largest, sum_lanes(sum)};
}

void divide_by(int64_t width, float sum, float* y) {
  for_vectors(width, [=](int64_t j, auto part) { store(y + j, load(y + j, part) / sum, part); });
}

void softmax(int64_t rows, int64_t width, const float* x, float* y) {
  for (int64_t i = 0; i < rows; ++i, x += width, y += width)
    divide_by(width, exponentials(width, x, y).sum, y);
}

void softmax_backward(int64_t rows, int64_t width, const float* y, const float* dy, float* dx, bool add) {
  for (int64_t i = 0; i < rows; ++i, y += width, dy += width, dx += width) {
    Vec sum{};
    for_vectors(width, [&](int64_t j, auto part) { sum = fma(load(y + j, part), load(dy + j, part), sum); });
    const float dot = sum_lanes(sum);
    for_vectors(width, [=](int64_t j, auto part) {
      const Vec d = load(y + j, part) * (load(dy + j, part) - dot);
      store(dx + j, add ? load(dx + j, part) + d : d, part);
    });
  }
}

bool in_range(int32_t label, int64_t width) {
  return label >= 0 && label < width;
}

double softmax_cross_entropy(const LossRows& r, const float* logits, ClassLabels labels,
                             float* probabilities) {
  double total = 0;
  for (int64_t i = 0; i < r.rows; ++i) {
    const float* x = logits + i * r.width;
    float* y = probabilities + i * r.width;
    const Normalizer n = exponentials(r.width, x, y);
    const float log_sum = log_of(n.sum);
    float loss = __builtin_nanf("");
    if (labels.distribution) {
      const float* label = labels.distribution + i * r.width;
      Vec sum{};
      for_vectors(r.width, [&](int64_t j, auto part) {
        const Vec t = load(label + j, part);
        // A logit of -infinity costs nothing where its label is 0.
        sum += t == 0.0f ? Vec{} : t * (log_sum - (load(x + j, part) - n.largest));
      });
      loss = sum_lanes(sum);
    } else if (in_range(labels.classes[i], r.width)) {
      loss = log_sum - (x[labels.classes[i]] - n.largest);
    }
    total += static_cast<double>(weight_of(r, i) * loss);
    divide_by(r.width, n.sum, y);
  }
  return total;
}

void softmax_cross_entropy_backward(const LossRows& r, const float* probabilities, ClassLabels labels,
                                    float scale, float* dlogits, bool add) {
  for (int64_t i = 0; i < r.rows; ++i) {
    const float* y = probabilities + i * r.width;
    float* dx = dlogits + i * r.width;
    float factor = scale * weight_of(r, i);
    if (labels.distribution) {
      const float* label = labels.distribution + i * r.width;
      Vec sum{};
      for_vectors(r.width, [&](int64_t j, auto part) { sum += load(label + j, part); });
      const float mass = sum_lanes(sum);
      for_vectors(r.width, [=](int64_t j, auto part) {
        const Vec d = factor * (load(y + j, part) * mass - load(label + j, part));
        store(dx + j, add ? load(dx + j, part) + d : d, part);
      });
    } else {
      const int32_t label = labels.classes[i];
      const bool valid = in_range(label, r.width);
      if (!valid) factor = __builtin_nanf("");
      const float before = add && valid ? dx[label] : 0.0f;
      for_vectors(r.width, [=](int64_t j, auto part) {
        const Vec d = factor * load(y + j, part);
        store(dx + j, add ? load(dx + j, part) + d : d, part);
      });
      if (valid) dx[label] = before + factor * (y[label] - 1.0f);
    }
  }
}

// f(offset, part, weight of these rows / width) for all elements: row by row, or, with one output, vectors of
// rows.
template <class F>
GPUNN_INLINE void for_elements(const LossRows& r, F f) {
  if (r.width == 1 && (!r.weights || r.rows_per_weight == 1)) {
    for_vectors(r.rows, [&](int64_t i, auto part) {
      f(i, part, r.weights ? load(r.weights + i, part) : splat(1.0f));
    });
    return;
  }
  for (int64_t i = 0; i < r.rows; ++i) {
    const Vec weight = splat(weight_of(r, i) / static_cast<float>(r.width));
    for_vectors(r.width, [&](int64_t j, auto part) { f(i * r.width + j, part, weight); });
  }
}

// The sum over all elements of weight * loss(offset, part); what a tail's empty lanes give is dropped.
template <class Loss>
GPUNN_INLINE double sum_of_losses(const LossRows& r, Loss loss) {
  Vec sum{};
  for_elements(r, [&](int64_t i, auto part, Vec weight) { sum += keep(weight * loss(i, part), part, 0.0f); });
  return sum_lanes(sum);
}

double sigmoid_cross_entropy(const LossRows& r, const float* logits, const float* labels,
                             float* probabilities) {
  return sum_of_losses(r, [=](int64_t i, auto part) {
    const Vec z = load(logits + i, part);
    const Vec e = exp(-abs(z));
    store(probabilities + i, (z < 0.0f ? e : splat(1.0f)) / (e + 1.0f), part);
    return max(Vec{}, z) - z * load(labels + i, part) + log1p_of_positive(e);
  });
}

void sigmoid_cross_entropy_backward(const LossRows& r, const float* probabilities, const float* labels,
                                    float scale, float* dlogits, bool add) {
  for_elements(r, [=](int64_t i, auto part, Vec weight) {
    const Vec d = (scale * weight) * (load(probabilities + i, part) - load(labels + i, part));
    store(dlogits + i, add ? load(dlogits + i, part) + d : d, part);
  });
}

double mean_squared_error(const LossRows& r, const float* predictions, const float* labels) {
  return sum_of_losses(r, [=](int64_t i, auto part) {
    const Vec d = load(predictions + i, part) - load(labels + i, part);
    return d * d;
  });
}

void mean_squared_error_backward(const LossRows& r, const float* predictions, const float* labels,
                                 float scale, float* dpredictions, bool add) {
  for_elements(r, [=](int64_t i, auto part, Vec weight) {
    const Vec d = (2.0f * scale * weight) * (load(predictions + i, part) - load(labels + i, part));
    store(dpredictions + i, add ? load(dpredictions + i, part) + d : d, part);
  });
}

double binary_hits(const LossRows& r, const float* probabilities, const float* labels) {
  const auto hits = [=](int64_t i, auto part) {
    const Vec side = load(probabilities + i, part) > 0.5f ? splat(1.0f) : Vec{};
    return side == load(labels + i, part) ? splat(1.0f) : Vec{};
  };
  if (r.width == 1) return sum_of_losses(r, hits);
  double total = 0;
  for (int64_t i = 0; i < r.rows; ++i) {
    Vec right{};  // counts
    for_vectors(r.width,
                [&](int64_t j, auto part) { right += keep(hits(i * r.width + j, part), part, 0.0f); });
    total += static_cast<double>(weight_of(r, i) * (sum_lanes(right) / static_cast<float>(r.width)));
  }
  return total;
}

void argmax(int64_t rows, int64_t width, const float* x, int32_t* out) {
  for (int64_t i = 0; i < rows; ++i, x += width) {
    Vec best = splat(-kInfinity);
    VecI at = splat(static_cast<int32_t>(width)), index = iota();
    for_vectors(width, [&](int64_t j, auto part) {
      const Vec v = load_or(x + j, part, -kInfinity);
      const VecI larger = v > best;
      best = larger ? v : best;
      at = larger ? index : at;
      index += kLanes;
    });
    const float largest = max_lanes(best);
    int32_t first = static_cast<int32_t>(width);
    for (int l = 0; l < kLanes; ++l) {
      if (best[l] == largest && at[l] < first) first = at[l];
    }
    out[i] = first < width ? first : 0;  // nothing above -infinity: the first
  }
}

}  // namespace

const LossKernels GPUNN_SIMD_NAME(loss_table) = {
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .softmax_cross_entropy = softmax_cross_entropy,
    .softmax_cross_entropy_backward = softmax_cross_entropy_backward,
    .sigmoid_cross_entropy = sigmoid_cross_entropy,
    .sigmoid_cross_entropy_backward = sigmoid_cross_entropy_backward,
    .mean_squared_error = mean_squared_error,
    .mean_squared_error_backward = mean_squared_error_backward,
    .binary_hits = binary_hits,
    .argmax = argmax,
};

}  // namespace gpunn::cpu::simd
