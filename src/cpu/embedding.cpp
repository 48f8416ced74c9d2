#include "src/ops/embedding.hpp"

#include "src/core/text.hpp"
#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

[[noreturn]] void refuse(const Slice& s, std::int64_t position, std::int64_t per_row, std::int64_t vocabulary,
                         SourceLocation where) {
  throw DataError(cat("embedding: token id ", s.in<std::int32_t>(0)[position], " of sample ",
                      s.first + position / per_row, " of the batch, position ", position % per_row,
                      ", is not from 0 to ", vocabulary - 1),
                  where);
}

Implementation forward(const OpCall& call, const Target&) {
  const std::int64_t per_row = ops::row_elements(call.inputs[0].shape);
  const std::int64_t vocabulary = call.inputs[1].shape[0], width = call.inputs[1].shape[1];
  return sliced("simd gather", "checks every id", [=, where = call.where](const Slice& s) {
    const simd::EmbeddingIds ids{s.in<std::int32_t>(0), s.rows * per_row};
    const std::int64_t done = simd::kernels().embedding.gather(ids, vocabulary, width, s.in(1), s.out(0));
    if (done < ids.count) refuse(s, done, per_row, vocabulary, where);
  });
}

// A task looks at all ids and adds up those of its rows of the table: their order is that of the positions
// for any number of tasks. Each id costs a task about a nanosecond, so there are few.
constexpr std::int64_t kTaskBytes = 256 * 1024, kMostTasks = 16;

Implementation backward(const OpCall& call, const Target&) {
  const std::int64_t count = call.inputs[0].shape.elements();
  const std::int64_t width = call.inputs[1].shape[-1];
  const std::int64_t vocabulary = call.attrs_as<ops::EmbeddingBackwardAttrs>().vocabulary;
  const std::int64_t bytes = vocabulary * width * static_cast<std::int64_t>(kFloat);
  const std::int64_t tasks = std::clamp<std::int64_t>(bytes / kTaskBytes, 1, kMostTasks);
  const std::int64_t rows = (vocabulary + tasks - 1) / tasks;
  return whole("simd scatter", "rows of the table are shared out", static_cast<int>(tasks),
               [=](const Slice& s) {
                 const std::int64_t first = std::min(s.task * rows, vocabulary);
                 simd::kernels().embedding.gradient({s.in<std::int32_t>(0), count}, width, s.in(1), first,
                                                    std::min(first + rows, vocabulary), s.add(0), s.out(0));
               });
}

}  // namespace

void implement_embedding(Registry& registry) {
  registry.add("embedding", forward);
  registry.add("embedding_backward", backward);
}

}  // namespace gpunn::cpu
