#include "src/ops/softmax_cross_entropy.hpp"

#include "src/cpu/losses.hpp"
#include "src/cpu/softmax.hpp"

namespace gpunn::cpu {
namespace {

// Scratch: the largest logit of each vector, then the logarithm of its sum of exponentials.
Implementation forward(const OpCall& call, const Target& target) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  const auto run = [=](const Slice& s) {
    const std::int64_t count = shape.count(s);
    float* largest = static_cast<float*>(s.scratch);
    float* log_sum = largest + count;
    exponentials(count, classes, s.in(0), s.out(1), largest);
    for (std::int64_t v = 0; v < count; ++v) log_sum[v] = normalize(classes, s.out(1) + v * classes);
    simd::kernels().activation.log(count, log_sum, log_sum);

    put_loss(shape, s, [&](std::int64_t v) {
      const float* x = s.in(0) + v * classes;
      const auto loss_of = [&](std::int64_t c) { return log_sum[v] - (x[c] - largest[v]); };
      if (shape.sparse) {
        const std::int64_t label = shape.label(s, v);
        return label < 0 ? kNaN : loss_of(label);
      }
      float sum = 0;
      for (std::int64_t c = 0; c < classes; ++c) {
        const float label = s.in(1)[v * classes + c];
        if (label != 0.0f) sum += label * loss_of(c);  // 0 * infinity would be NaN
      }
      return sum;
    });
  };
  return sliced("simd exp", "with softmax, stable", run, floats(2 * target.slice_rows * shape.vectors));
}

Implementation backward(const OpCall& call, const Target&) {
  const LossShape shape(call);
  const std::int64_t classes = shape.classes;
  return sliced("loop", "few operations per element", [=](const Slice& s) {
    for (std::int64_t v = 0; v < shape.count(s); ++v) {
      const float scale = shape.gradient_scale(s, v);
      const float* p = s.in(0) + v * classes;
      float* dx = s.out(0) + v * classes;
      if (shape.sparse) {
        const std::int64_t label = shape.label(s, v);
        const float total = label < 0 ? kNaN : 1.0f;
        for (std::int64_t c = 0; c < classes; ++c) {
          put(dx[c], scale * (p[c] * total - (c == label ? 1.0f : 0.0f)), s.add(0));
        }
      } else {
        const float* labels = s.in(1) + v * classes;
        float total = 0;
        for (std::int64_t c = 0; c < classes; ++c) total += labels[c];
        for (std::int64_t c = 0; c < classes; ++c) put(dx[c], scale * (p[c] * total - labels[c]), s.add(0));
      }
    }
  });
}

}  // namespace

void implement_softmax_cross_entropy(Registry& registry) {
  registry.add("softmax_cross_entropy", forward);
  registry.add("softmax_cross_entropy_backward", backward);
}

}  // namespace gpunn::cpu
