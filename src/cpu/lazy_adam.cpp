#include "src/ops/lazy_adam.hpp"

#include "src/core/text.hpp"
#include "src/cpu/optimizer.hpp"

namespace gpunn::cpu {
namespace {

// As for the gradient of an embedding: a task looks at all ids and takes those of its rows of the table.
constexpr std::int64_t kTaskBytes = 256 * 1024, kMostTasks = 16;

struct Shapes {
  explicit Shapes(const OpCall& call)
      : count(call.inputs[0].shape.elements()),
        rows(call.inputs[2].shape[0]),
        width(call.inputs[2].shape[1]) {}
  std::int64_t count, rows, width;
};

// Lists the positions of rows [first, last), by row and then in their order. Returns where each row's end.
struct Positions {
  const std::int32_t* ends;   // [last - first]
  const std::int32_t* order;  // positions
};
Positions list_positions(const Slice& s, const Shapes& shapes, std::int64_t first, std::int64_t last) {
  auto* ends = static_cast<std::int32_t*>(s.scratch);
  std::int32_t* order = ends + (last - first) + 1;
  const auto* ids = s.in<std::int32_t>(0);
  std::fill(ends, order, 0);
  for (std::int64_t i = 0; i < shapes.count; ++i) {
    if (ids[i] >= first && ids[i] < last) ++ends[ids[i] - first + 1];
  }
  for (std::int64_t r = 0; r < last - first; ++r) ends[r + 1] += ends[r];  // where each row begins
  for (std::int64_t i = 0; i < shapes.count; ++i) {
    if (ids[i] >= first && ids[i] < last) order[ends[ids[i] - first]++] = static_cast<std::int32_t>(i);
  }
  return {ends, order};
}

void update_rows(const Slice& s, const Shapes& shapes, const simd::AdamStep& step, std::int64_t first,
                 std::int64_t last, float* sum) {
  const Positions positions = list_positions(s, shapes, first, last);
  const simd::FlushDenormals flush;
  std::int32_t k = 0;
  for (std::int64_t row = first; row < last; ++row) {
    const std::int32_t end = positions.ends[row - first];
    if (k == end) continue;
    std::fill_n(sum, shapes.width, 0.0f);
    for (; k < end; ++k) {
      const float* dy = s.in(1) + positions.order[k] * shapes.width;
      for (std::int64_t c = 0; c < shapes.width; ++c) sum[c] += dy[c];
    }
    const std::int64_t at = row * shapes.width;
    simd::kernels().optimizer.adam(step, shapes.width, s.mutated(2) + at, sum, s.mutated(3) + at,
                                   s.mutated(4) + at);
  }
}

Implementation lazy_adam(const OpCall& call, const Target&) {
  const Shapes shapes(call);
  const auto attrs = call.attrs_as<ops::LazyAdamAttrs>();
  expects(shapes.count < std::int64_t{1} << 31, call, "more than 2^31 positions in a batch");
  const std::int64_t bytes = shapes.rows * shapes.width * static_cast<std::int64_t>(kFloat);
  const std::int64_t tasks = std::clamp<std::int64_t>(bytes / kTaskBytes, 1, kMostTasks);
  const std::int64_t each = (shapes.rows + tasks - 1) / tasks, named = std::min(shapes.rows, shapes.count);
  const auto run = [=](const Slice& s) {
    const auto t = static_cast<std::uint64_t>(s.step->step);
    simd::AdamStep step;
    step.alpha = static_cast<float>(static_cast<double>(s.step->learning_rate) *
                                    bias_correction(attrs.beta1, attrs.beta2, t));
    step.beta1 = attrs.beta1, step.beta2 = attrs.beta2, step.epsilon = attrs.epsilon;
    step.gradient_scale = s.step->gradient_scale;
    const std::int64_t first = std::min(s.task * each, shapes.rows);
    update_rows(s, shapes, step, first, std::min(first + each, shapes.rows),
                reinterpret_cast<float*>(static_cast<std::int32_t*>(s.scratch) + each + 1 + shapes.count));
  };
  const std::string why = cat("not Adam: at most ", named, " rows of ", shapes.rows,
                              ", where Adam reads and writes ", bytes * 7 / 1024, " KiB of all");
  return whole(
      "simd lazy adam", why, static_cast<int>(tasks), run,
      static_cast<std::size_t>(each + 1 + shapes.count) * sizeof(std::int32_t) + floats(shapes.width));
}

}  // namespace

void implement_lazy_adam(Registry& registry) {
  registry.add("lazy_adam", lazy_adam);
}

}  // namespace gpunn::cpu
