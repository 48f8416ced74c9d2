// Getting batches to the device: from a data set kept there, by index; or through pinned staging, while the
// device works on the batch before.
#pragma once

#include <array>
#include <vector>

#include "src/cuda/device.hpp"
#include "src/ir/backend.hpp"

namespace gpunn::cuda {

class Inputs {
 public:
  // `ring` batches may be under way at once.
  Inputs(Device& device, const Graph& graph, std::int64_t batch, int ring);

  // Whether that was the last source of the input: it is on the device, or was refused.
  bool knows(int number, const Source& source) const;
  // Copies it to the device when it fits; says so once when it does not. Waits for what still reads the last
  // one.
  void set_source(int number, const Source& source, cudaStream_t stream);
  void set(int number, const void* base, const std::int64_t* row_index);

  // Resident rows can be announced for this many steps at once. REQUIRES: none is under way.
  void set_group(int steps);
  // Whether all rows of the next step are of resident data: then they may be gathered later, by steps 0 ..
  // group - 1.
  bool resident() const;
  void stage(int slot, int step);                             // notes the rows of the next step
  void send(int slot, int steps, cudaStream_t stream) const;  // brings the notes of these steps to the device
  void gather(int step, const Launch& launch) const;          // queues the kernels that follow them

  // Queues what brings the batch to the device. `slot` of the ring must be free.
  void queue(int slot, const Launch& launch);

  std::byte* device_memory(int number) const { return all_[static_cast<std::size_t>(number)].batch.data(); }

 private:
  struct Input {
    std::string name;
    std::int64_t row_bytes = 0, rows = 0;
    Buffer batch;   // the rows of the step, where nodes read them
    Buffer index;   // i64 [group, rows]
    Buffer source;  // the whole data set, when it is resident
    std::uint64_t source_id = 0;
    const void* source_base = nullptr;  // null: refused
    std::int64_t source_rows = 0;
    const std::byte* base = nullptr;  // of the next step
    const std::int64_t* row_index = nullptr;
    std::vector<Pinned> staging;  // one per slot: rows, or indexes of a group

    bool resident() const { return base == source_base && base != nullptr && row_index != nullptr; }
    std::size_t index_bytes(int steps) const {
      return static_cast<std::size_t>(rows * steps) * sizeof(std::int64_t);
    }
  };

  std::string why_not_resident(std::size_t bytes) const;  // empty: it can be
  void stage(Input& input, int slot, int step);
  void send(const Input& input, int slot, int steps, cudaStream_t stream) const;
  void gather(const Input& input, int step, const Launch& launch) const;

  Device& device_;
  int ring_, group_ = 0;
  std::vector<Input> all_;
};

}  // namespace gpunn::cuda
