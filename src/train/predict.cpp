#include <algorithm>
#include <bit>
#include <cstring>

#include "src/core/text.hpp"
#include "src/train/batches.hpp"
#include "src/train/fit.hpp"

namespace gpunn::train {
namespace {

// Rows of a batch are planned for the next power of two, so that a few plans serve every number of samples.
std::int64_t padded(std::int64_t rows, std::int64_t most) {
  return std::min(static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(rows))), most);
}

void copy_outputs(const Executable& executable, std::vector<Tensor>& outputs, std::int64_t first,
                  std::int64_t rows) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Tensor to = outputs[i].rows(first, first + rows);
    if (to.size_bytes() > 0) std::memcpy(to.bytes(), executable.output(static_cast<int>(i)), to.size_bytes());
  }
}

}  // namespace

std::vector<Tensor> predict(ModelState& state, const DatasetPtr& data, const PredictOptions& options,
                            SourceLocation where) {
  if (!data) throw UsageError("predict: no data", where);
  if (options.batch_size < 1) throw UsageError(cat("predict: batch_size is ", options.batch_size), where);
  BatchReader reader(data, state.network, nullptr,
                     {.function = "predict",
                      .loader = {.batch_size = options.batch_size, .shuffle = false, .buckets = false},
                      .with_labels = false,
                      .check_data = false,
                      .where = where});
  std::vector<Tensor> outputs;
  for (std::size_t i = 0; i < state.network.outputs().size(); ++i) {
    const Spec& spec = state.network.output(i);
    outputs.emplace_back(spec.shape.with_front(data->size()), spec.dtype);
  }
  // What the loader has read into its own memory has as many rows as it has; only resident rows can be
  // repeated. A stateful layer has a state for each row.
  const bool pads = reader.resident() && state.network.stateful() == nullptr;
  const cpu::StepState step{.seed = state.options.seed};
  std::vector<std::int64_t> rows;
  std::int64_t done = 0;
  reader.start_epoch(0);
  while (const std::int64_t size = reader.next()) {
    const std::int64_t batch = pads ? padded(size, options.batch_size) : size;
    Executable& executable = state.executable(reader.key(nn::Mode::predict, {.size = batch}));
    if (reader.resident()) {
      rows.assign(reader.batch().rows.begin(), reader.batch().rows.end());
      rows.resize(static_cast<std::size_t>(batch), rows.back());
      reader.bind_rows(executable, rows.data());
    } else {
      reader.bind(executable);
    }
    executable.run(step);
    copy_outputs(executable, outputs, done, size);
    done += size;
  }
  return outputs;
}

}  // namespace gpunn::train
