#include "src/ops/global_norm.hpp"

#include <cmath>

#include "src/cpu/optimizer.hpp"

namespace gpunn::cpu {
namespace {

// In double, so that thousands of squares lose nothing that float holds. Several sums, because one would wait
// for each addition before the next; their number is part of the result's bits.
double sum_of_squares(const float* x, std::int64_t n) {
  constexpr std::int64_t kSums = 8;
  double sum[kSums] = {};
  std::int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (std::int64_t k = 0; k < kSums; ++k) {
      const auto value = static_cast<double>(x[i + k]);
      sum[k] += value * value;
    }
  }
  for (; i < n; ++i) sum[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  double total = 0;
  for (const double part : sum) total += part;
  return total;
}

Implementation squared_norms(const OpCall& call, const Target&) {
  const auto chunks = ops::update_chunks(call.attrs_as<ops::SquaredNormsAttrs>().segments);
  const auto tasks = static_cast<int>(std::max<std::size_t>(chunks.size(), 1));
  return whole("loop", "sums in double", tasks, [chunks](const Slice& s) {
    if (chunks.empty()) return;
    const auto task = static_cast<std::size_t>(s.task);
    s.out(0)[task] = static_cast<float>(sum_of_squares(s.in(0) + chunks[task].begin, chunks[task].count));
  });
}

Implementation global_norm(const OpCall& call, const Target&) {
  const std::int64_t chunks = call.inputs[0].shape[0];
  return whole("loop", "a few numbers", 1, [chunks](const Slice& s) {
    double sum = 0;
    for (std::int64_t k = 0; k < chunks; ++k) sum += static_cast<double>(s.in(0)[k]);
    s.out(0)[0] = static_cast<float>(std::sqrt(sum)) * std::abs(s.step->gradient_scale);
  });
}

}  // namespace

void implement_global_norm(Registry& registry) {
  registry.add("squared_norms", squared_norms);
  registry.add("global_norm", global_norm);
}

}  // namespace gpunn::cpu
