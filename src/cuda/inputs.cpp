#include "src/cuda/inputs.hpp"

#include <cstring>

#include "kernels/check.hpp"
#include "kernels/gather.hpp"

namespace gpunn::cuda {
namespace {

// A data set may take at most this share of what is free.
constexpr double kResidentShare = 0.5;
constexpr std::int64_t kWord = sizeof(std::int32_t);

}  // namespace

Inputs::Inputs(Device& device, const Graph& graph, std::int64_t batch, int ring)
    : device_(device), ring_(ring) {
  for (const ValueId id : graph.inputs()) {
    const Value& value = graph.value(id);
    Input input;
    input.rows = value.batched ? batch : 1;
    input.row_bytes =
        static_cast<std::int64_t>(value.spec.size_bytes()) / std::max<std::int64_t>(input.rows, 1);
    input.batch = device.memory().allocate(value.spec.size_bytes(), "input '" + value.name + "'");
    const auto index_bytes = static_cast<std::size_t>(input.rows) * sizeof(std::int64_t);
    input.index = device.memory().allocate(index_bytes, "row indexes of '" + value.name + "'");
    for (int slot = 0; slot < ring; ++slot)
      input.staging.emplace_back(std::max(value.spec.size_bytes(), index_bytes));
    all_.push_back(std::move(input));
  }
}

bool Inputs::fits(std::size_t bytes) const {
  const DeviceUpstream upstream(device_.ordinal());
  return static_cast<double>(bytes) <=
         kResidentShare * static_cast<double>(upstream.free_bytes().value_or(0));
}

void Inputs::set_source(int number, const void* base, std::int64_t rows, cudaStream_t stream) {
  Input& input = all_.at(static_cast<std::size_t>(number));
  const auto bytes = static_cast<std::size_t>(rows * input.row_bytes);
  input.source_base = nullptr;
  if (bytes == 0 || input.row_bytes % kWord != 0 || !fits(bytes)) return;
  if (input.source.size() < bytes) input.source = device_.memory().allocate(bytes, "a resident data set");
  check(cudaMemcpyAsync(input.source.data(), base, bytes, cudaMemcpyHostToDevice, stream));
  check(cudaStreamSynchronize(stream));  // the host's memory is pageable
  input.source_base = base;
  input.source_rows = rows;
}

void Inputs::set(int number, const void* base, const std::int64_t* row_index) {
  Input& input = all_.at(static_cast<std::size_t>(number));
  input.base = static_cast<const std::byte*>(base);
  input.row_index = row_index;
}

void Inputs::queue(int slot, const Launch& launch) {
  const auto stream = static_cast<cudaStream_t>(launch.stream);
  for (Input& input : all_) {
    if (input.base == nullptr) throw UsageError("an input was not given before the run");
    std::byte* staging = input.staging[static_cast<std::size_t>(slot)].data();
    const auto bytes = static_cast<std::size_t>(input.rows * input.row_bytes);
    const bool resident = input.base == input.source_base && input.row_index != nullptr;
    if (resident) {
      const auto index_bytes = static_cast<std::size_t>(input.rows) * sizeof(std::int64_t);
      std::memcpy(staging, input.row_index, index_bytes);
      check(cudaMemcpyAsync(input.index.data(), staging, index_bytes, cudaMemcpyHostToDevice, stream));
      // Whatever the elements are, they travel as 32-bit words, unchanged.
      kernels::gather_rows(gpu_of(launch), {input.rows, input.row_bytes / kWord, input.source_rows},
                           reinterpret_cast<const std::int32_t*>(input.source.data()),
                           reinterpret_cast<const std::int64_t*>(input.index.data()), {},
                           reinterpret_cast<std::int32_t*>(input.batch.data()));
      continue;
    }
    for (std::int64_t i = 0; i < input.rows; ++i) {
      const std::int64_t row = input.row_index == nullptr ? i : input.row_index[i];
      std::memcpy(staging + i * input.row_bytes, input.base + row * input.row_bytes,
                  static_cast<std::size_t>(input.row_bytes));
    }
    check(cudaMemcpyAsync(input.batch.data(), staging, bytes, cudaMemcpyHostToDevice, stream));
  }
}

}  // namespace gpunn::cuda
