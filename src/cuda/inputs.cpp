#include "src/cuda/inputs.hpp"

#include <algorithm>
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
    input.name = value.name;
    input.batch = device.memory().allocate(value.spec.size_bytes(), "input '" + value.name + "'");
    all_.push_back(std::move(input));
  }
  set_group(1);
}

void Inputs::set_group(int steps) {
  if (steps == group_) return;
  group_ = steps;
  for (Input& input : all_) {
    const std::size_t index_bytes = input.index_bytes(steps);
    input.index = device_.memory().allocate(index_bytes, "row indexes of '" + input.name + "'");
    input.staging.clear();
    for (int slot = 0; slot < ring_; ++slot)
      input.staging.emplace_back(
          std::max(static_cast<std::size_t>(input.rows * input.row_bytes), index_bytes));
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

bool Inputs::resident() const {
  return std::all_of(all_.begin(), all_.end(), [](const Input& input) { return input.resident(); });
}

void Inputs::stage(int slot, int step) {
  for (Input& input : all_) {
    std::memcpy(input.staging[static_cast<std::size_t>(slot)].data() + input.index_bytes(step),
                input.row_index, input.index_bytes(1));
  }
}

void Inputs::send(int slot, int steps, cudaStream_t stream) const {
  for (const Input& input : all_) {
    check(cudaMemcpyAsync(input.index.data(), input.staging[static_cast<std::size_t>(slot)].data(),
                          input.index_bytes(steps), cudaMemcpyHostToDevice, stream));
  }
}

void Inputs::gather(int step, const Launch& launch) const {
  for (const Input& input : all_) {
    // Whatever the elements are, they travel as 32-bit words, unchanged.
    kernels::gather_rows(gpu_of(launch), {input.rows, input.row_bytes / kWord, input.source_rows},
                         reinterpret_cast<const std::int32_t*>(input.source.data()),
                         reinterpret_cast<const std::int64_t*>(input.index.data()) + input.rows * step, {},
                         reinterpret_cast<std::int32_t*>(input.batch.data()));
  }
}

void Inputs::queue(int slot, const Launch& launch) {
  const auto stream = static_cast<cudaStream_t>(launch.stream);
  if (!all_.empty() && resident()) {
    stage(slot, 0);
    send(slot, 1, stream);
    return gather(0, launch);
  }
  for (Input& input : all_) {
    if (input.base == nullptr) throw UsageError("an input was not given before the run");
    std::byte* staging = input.staging[static_cast<std::size_t>(slot)].data();
    for (std::int64_t i = 0; i < input.rows; ++i) {
      const std::int64_t row = input.row_index == nullptr ? i : input.row_index[i];
      std::memcpy(staging + i * input.row_bytes, input.base + row * input.row_bytes,
                  static_cast<std::size_t>(input.row_bytes));
    }
    check(cudaMemcpyAsync(input.batch.data(), staging, static_cast<std::size_t>(input.rows * input.row_bytes),
                          cudaMemcpyHostToDevice, stream));
  }
}

}  // namespace gpunn::cuda
