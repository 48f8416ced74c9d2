#include "src/cuda/inputs.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "kernels/check.hpp"
#include "kernels/gather.hpp"
#include "src/core/log.hpp"
#include "src/core/text.hpp"

namespace gpunn::cuda {

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
  std::vector<Buffer> indexes;
  std::vector<std::vector<Pinned>> staging(all_.size());
  for (std::size_t i = 0; i < all_.size(); ++i) {
    const Input& input = all_[i];
    const std::size_t index_bytes = input.index_bytes(steps);
    indexes.push_back(device_.memory().allocate(index_bytes, "row indexes of '" + input.name + "'"));
    for (int slot = 0; slot < ring_; ++slot) staging[i].emplace_back(index_bytes);
  }
  for (std::size_t i = 0; i < all_.size(); ++i) {
    all_[i].index = std::move(indexes[i]);
    all_[i].index_staging = std::move(staging[i]);
  }
  group_ = steps;
}

bool Inputs::knows(int number, const Source& source) const {
  const Input& input = all_.at(static_cast<std::size_t>(number));
  return input.source_id == source.id && input.source_rows == source.rows;
}

void Inputs::set_source(int number, const Source& source, cudaStream_t stream) {
  Input& input = all_.at(static_cast<std::size_t>(number));
  check(cudaStreamSynchronize(stream));  // a gather may still read the last one
  input.source_base = nullptr;
  input.source.reset();
  if (const auto bytes = static_cast<std::size_t>(source.rows * input.row_bytes); bytes > 0) {
    std::string why;
    input.source = device_.data_sets().find(source, bytes, stream, why);
    if (input.source != nullptr) {
      input.source_base = source.base;
    } else {
      log_once("not resident: " + input.name, LogLevel::info,
               cat("the data of '", input.name, "' (", bytes, " bytes) travel batch by batch: ", why));
    }
  }
  input.source_rows = source.rows;
  input.source_id = source.id;
}

void Inputs::set(int number, const void* base, const std::int64_t* row_index) {
  Input& input = all_.at(static_cast<std::size_t>(number));
  input.base = static_cast<const std::byte*>(base);
  input.row_index = row_index;
  if (!input.resident()) prepare_to_travel(input);
}

void Inputs::prepare_to_travel(Input& input) {
  if (!input.row_staging.empty()) return;
  const OnDevice here(device_.ordinal());
  if (copies_ == nullptr) copies_ = std::make_unique<Copies>();
  std::vector<Pinned> staging;
  for (int slot = 0; slot < ring_; ++slot) staging.emplace_back(input.batch_bytes());
  std::array<Buffer, kLandings> landings;
  for (Buffer& landing : landings)
    landing = device_.memory().allocate(input.batch_bytes(), "arriving rows of '" + input.name + "'");
  input.landings = std::move(landings);
  input.row_staging = std::move(staging);
}

bool Inputs::resident() const {
  return std::all_of(all_.begin(), all_.end(), [](const Input& input) { return input.resident(); });
}

void Inputs::stage(Input& input, int slot, int step) {
  std::memcpy(input.index_staging[static_cast<std::size_t>(slot)].data() + input.index_bytes(step),
              input.row_index, input.index_bytes(1));
}

void Inputs::stage(int slot, int step) {
  for (Input& input : all_) stage(input, slot, step);
}

void Inputs::send(const Input& input, int slot, int steps, cudaStream_t stream) const {
  check(cudaMemcpyAsync(input.index.data(), input.index_staging[static_cast<std::size_t>(slot)].data(),
                        input.index_bytes(steps), cudaMemcpyHostToDevice, stream));
}

void Inputs::send(int slot, int steps, cudaStream_t stream) const {
  for (const Input& input : all_) send(input, slot, steps, stream);
}

void Inputs::gather(const Input& input, int step, const Launch& launch) const {
  // Whatever the elements are, they travel unchanged, in words where rows are whole ones.
  const auto rows_of = [&]<class T>(std::type_identity<T>) {
    kernels::gather_rows(
        gpu_of(launch),
        {input.rows, input.row_bytes / static_cast<std::int64_t>(sizeof(T)), input.source_rows},
        reinterpret_cast<const T*>(input.source->data()),
        reinterpret_cast<const std::int64_t*>(input.index.data()) + input.rows * step,
        reinterpret_cast<T*>(input.batch.data()));
  };
  if (input.row_bytes % static_cast<std::int64_t>(sizeof(std::uint32_t)) == 0) {
    rows_of(std::type_identity<std::uint32_t>{});
  } else {
    rows_of(std::type_identity<std::uint8_t>{});
  }
}

void Inputs::gather(int step, const Launch& launch) const {
  for (const Input& input : all_) gather(input, step, launch);
}

void Inputs::queue(int slot, const Launch& launch) {
  const auto stream = static_cast<cudaStream_t>(launch.stream);
  for (Input& input : all_) {
    if (input.base == nullptr) throw UsageError("an input was not given before the run");
    if (!input.resident()) continue;
    stage(input, slot, 0);
    send(input, slot, 1, stream);
    gather(input, 0, launch);
  }
  const auto travels = [](const Input& input) { return !input.resident(); };
  if (std::any_of(all_.begin(), all_.end(), travels)) queue_travelling(slot, stream);
}

void Inputs::queue_travelling(int slot, cudaStream_t stream) {
  const std::size_t turn = copies_->next++ % kLandings;
  const Copies::Landing& landing = copies_->landings[turn];
  cudaStream_t copies = copies_->stream.get();
  check(cudaStreamWaitEvent(copies, landing.taken.get()));
  for (const Input& input : all_) {
    if (input.resident()) continue;
    std::byte* staging = input.row_staging[static_cast<std::size_t>(slot)].data();
    for (std::int64_t i = 0; i < input.rows; ++i) {
      const std::int64_t row = input.row_index == nullptr ? i : input.row_index[i];
      std::memcpy(staging + i * input.row_bytes, input.base + row * input.row_bytes,
                  static_cast<std::size_t>(input.row_bytes));
    }
    check(cudaMemcpyAsync(input.landings[turn].data(), staging, input.batch_bytes(), cudaMemcpyHostToDevice,
                          copies));
  }
  check(cudaEventRecord(landing.arrived.get(), copies));
  check(cudaStreamWaitEvent(stream, landing.arrived.get()));
  for (const Input& input : all_) {
    if (input.resident()) continue;
    check(cudaMemcpyAsync(input.batch.data(), input.landings[turn].data(), input.batch_bytes(),
                          cudaMemcpyDeviceToDevice, stream));
  }
  check(cudaEventRecord(landing.taken.get(), stream));
}

}  // namespace gpunn::cuda
