// Getting batches to the device: from a data set kept there, by index; or through pinned memory, while the
// device works on the batch before.
#pragma once

#include <array>
#include <memory>
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
  // Has it on the device when it fits; says so once when it does not. Waits for what still reads the last
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
  static constexpr std::size_t kLandings = 2;  // one is filled while the step reads the other

  struct Input {
    std::string name;
    std::int64_t row_bytes = 0, rows = 0;
    Buffer batch;                          // the rows of the step, where nodes read them
    Buffer index;                          // i64 [group, rows]
    std::vector<Pinned> index_staging;     // one per slot
    std::shared_ptr<const Buffer> source;  // the whole data set, when it is resident
    std::uint64_t source_id = 0;
    const void* source_base = nullptr;  // null: refused
    std::int64_t source_rows = 0;
    const std::byte* base = nullptr;  // of the next step
    const std::int64_t* row_index = nullptr;
    // Of rows that travel; made when the first do.
    std::vector<Pinned> row_staging;  // one per slot
    std::array<Buffer, kLandings> landings;

    bool resident() const { return base == source_base && base != nullptr && row_index != nullptr; }
    std::size_t batch_bytes() const { return static_cast<std::size_t>(rows * row_bytes); }
    std::size_t index_bytes(int steps) const {
      return static_cast<std::size_t>(rows * steps) * sizeof(std::int64_t);
    }
  };

  // Copies from the host run on a stream of their own, ahead of the steps; a copy on the device, a hundred
  // times as fast, then brings the rows to where a captured step reads them.
  struct Copies {
    Stream stream = make_stream();
    struct Landing {
      Event arrived = make_event(), taken = make_event();
    };
    std::array<Landing, kLandings> landings;
    std::size_t next = 0;
  };

  void prepare_to_travel(Input& input);
  void stage(Input& input, int slot, int step);
  void send(const Input& input, int slot, int steps, cudaStream_t stream) const;
  void gather(const Input& input, int step, const Launch& launch) const;
  void queue_travelling(int slot, cudaStream_t stream);

  Device& device_;
  int ring_, group_ = 0;
  std::vector<Input> all_;
  std::unique_ptr<Copies> copies_;
};

}  // namespace gpunn::cuda
