#include "src/ops/global_norm.hpp"

#include <cmath>

#include "src/cpu/optimizer.hpp"

namespace gpunn::cpu {
namespace {

Implementation squared_norms(const OpCall& call, const Target&) {
  const auto pieces = ops::update_chunks(call.attrs_as<ops::SquaredNormsAttrs>().segments, ops::kUpdatePiece);
  const auto groups = tasks_of(pieces);
  const auto tasks = static_cast<int>(std::max<std::size_t>(groups.size(), 1));
  return whole("simd sum", "sums in double", tasks, [pieces, groups](const Slice& s) {
    if (groups.empty()) return;
    const auto [first, end] = groups[static_cast<std::size_t>(s.task)];
    for (std::size_t k = first; k < end; ++k) {
      s.out(0)[k] = static_cast<float>(
          simd::kernels().optimizer.sum_of_squares(pieces[k].count, s.in(0) + pieces[k].begin));
    }
  });
}

Implementation global_norm(const OpCall& call, const Target&) {
  const std::int64_t pieces = call.inputs[0].shape[0];
  return whole("loop", "a few numbers", 1, [pieces](const Slice& s) {
    double sum = 0;
    for (std::int64_t k = 0; k < pieces; ++k) sum += static_cast<double>(s.in(0)[k]);
    s.out(0)[0] = static_cast<float>(std::sqrt(sum)) * std::abs(s.step->gradient_scale);
  });
}

}  // namespace

void implement_global_norm(Registry& registry) {
  registry.add("squared_norms", squared_norms);
  registry.add("global_norm", global_norm);
}

}  // namespace gpunn::cpu
