#include "cpu_node.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "src/core/dtype_visit.hpp"

namespace gpunn::testing {
namespace {

constexpr std::size_t kGuard = 128, kAlignment = 64;
constexpr std::byte kGuardByte{0xA5};

// Bytes between guards, at an address that is `offset` beyond a multiple of 64.
class Buffer {
 public:
  explicit Buffer(std::size_t size, std::size_t offset = 4)  // 4: nothing but floats is promised
      : bytes_(size + 2 * kGuard + kAlignment + offset, kGuardByte), size_(size) {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data()) + kGuard;
    start_ = kGuard + (kAlignment - address % kAlignment) % kAlignment + offset;
    std::fill_n(data(), size, std::byte{0xFF});  // all ones: NaN, or -1
  }
  explicit Buffer(const std::vector<std::byte>& content) : Buffer(content.size()) {
    std::copy(content.begin(), content.end(), data());
  }
  std::byte* data() { return bytes_.data() + start_; }
  std::vector<std::byte> content() { return {data(), data() + size_}; }
  bool intact() {
    const auto guard = [](std::byte b) { return b == kGuardByte; };
    return std::all_of(bytes_.data(), data(), guard) &&
           std::all_of(data() + size_, bytes_.data() + bytes_.size(), guard);
  }

 private:
  std::vector<std::byte> bytes_;  // a move keeps the elements where they are
  std::size_t size_, start_ = 0;
};

class NodeOnCpu {
 public:
  NodeOnCpu(const Graph& graph, const Node& node, std::int64_t slice_rows, const cpu::StepState& step)
      : graph_(graph), node_(node), storage_(graph.call(node)), slice_rows_(slice_rows), step_(step) {}

  NodeRun run(const std::vector<std::vector<double>>& inputs, unsigned accumulate,
              const std::vector<std::vector<double>>& old) {
    storage_.call.accumulates = accumulate;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      inputs_.emplace_back(encode(inputs[k], storage_.inputs[k].dtype));
    }
    for (std::size_t k = 0; k < node_.outputs.size(); ++k) {
      if (adds(k)) {
        outputs_.emplace_back(encode(old[k], storage_.outputs[k].dtype));
      } else {
        outputs_.emplace_back(storage_.outputs[k].size_bytes());
      }
    }
    const cpu::Target target{.slice_rows = slice_rows_};
    const cpu::Implementation chosen = cpu::find_implementation(node_.op->name)(storage_.call, target);
    EXPECT_FALSE(chosen.name.empty());
    EXPECT_EQ(chosen.tasks, cpu::find_implementation(node_.op->name)(storage_.call, {}).tasks);
    const bool sliced = chosen.tasks == 0 && is_batched();
    sliced ? run_slices(chosen) : run_tasks(chosen);
    return collect(chosen, sliced, inputs);
  }

 private:
  bool adds(std::size_t k) const { return storage_.call.accumulates >> k & 1u; }
  bool is_batched() const { return storage_.call.batched != 0; }

  static std::byte* at_row(Buffer& buffer, const Value& value, std::int64_t row) {
    if (!value.batched || value.spec.shape[0] == 0) return buffer.data();
    return buffer.data() + value.spec.size_bytes() / static_cast<std::size_t>(value.spec.shape[0]) *
                               static_cast<std::size_t>(row);
  }

  void call(const cpu::Implementation& chosen, cpu::Slice slice, std::vector<Buffer>& outputs) {
    std::vector<void*> in, out;
    for (std::size_t k = 0; k < inputs_.size(); ++k) {
      const ValueId id = node_.inputs[k];
      in.push_back(id == kNoValue ? nullptr : at_row(inputs_[k], graph_.value(id), slice.first));
    }
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      out.push_back(at_row(outputs[k], graph_.value(node_.outputs[k]), slice.first));
    }
    Buffer scratch(chosen.scratch, 0);
    slice.inputs = in.data(), slice.outputs = out.data(), slice.step = &step_, slice.scratch = scratch.data();
    chosen.run(slice);
    EXPECT_TRUE(scratch.intact()) << "scratch of " << node_.op->name;
  }

  void run_tasks(const cpu::Implementation& chosen) {
    std::int64_t rows = graph_.batch();
    if (!is_batched() && !node_.outputs.empty()) {
      const bool sums = node_.op->outputs[0] == Rows::sum;
      const Shape& walked = sums ? storage_.inputs[0].shape : storage_.outputs[0].shape;
      rows = walked.rank() == 0 ? 1 : walked[0];
    }
    for (int task = std::max(chosen.tasks, 1); task-- > 0;) {  // their order must not matter
      call(chosen, {.rows = rows, .task = task, .accumulate = storage_.call.accumulates}, outputs_);
    }
  }

  // Sums of one slice go straight to the output; of several, through partial results that are added in order.
  void run_slices(const cpu::Implementation& chosen) {
    const std::int64_t batch = graph_.batch();
    const bool only_one = slice_rows_ >= batch;
    for (std::int64_t first = 0; first < batch || first == 0; first += slice_rows_) {
      cpu::Slice slice{.first = first,
                       .rows = std::min(slice_rows_, batch - first),
                       .accumulate = storage_.call.accumulates};
      if (only_one) return call(chosen, slice, outputs_);
      std::vector<Buffer> targets;
      for (std::size_t k = 0; k < outputs_.size(); ++k) {
        if (!is_sum(k)) {
          targets.push_back(std::move(outputs_[k]));
        } else {
          targets.emplace_back(storage_.outputs[k].size_bytes());
          slice.accumulate &= ~(1u << k);
        }
      }
      call(chosen, slice, targets);
      for (std::size_t k = 0; k < outputs_.size(); ++k) {
        if (is_sum(k)) {
          EXPECT_TRUE(targets[k].intact()) << "partial result of " << node_.op->name;
          add_partial(k, targets[k], first == 0 && !adds(k));
        } else {
          outputs_[k] = std::move(targets[k]);
        }
      }
    }
  }

  bool is_sum(std::size_t k) const { return node_.op->outputs[k] == Rows::sum; }

  void add_partial(std::size_t k, Buffer& partial, bool overwrite) {
    auto* sum = reinterpret_cast<float*>(outputs_[k].data());
    const auto* part = reinterpret_cast<const float*>(partial.data());
    for (std::int64_t i = 0; i < storage_.outputs[k].shape.elements(); ++i) {
      sum[i] = overwrite ? part[i] : sum[i] + part[i];
    }
  }

  NodeRun collect(const cpu::Implementation& chosen, bool sliced,
                  const std::vector<std::vector<double>>& inputs) {
    NodeRun result{.implementation = chosen.name, .sliced = sliced, .outputs = {}, .inputs = {}};
    for (std::size_t k = 0; k < outputs_.size(); ++k) {
      EXPECT_TRUE(outputs_[k].intact()) << "output " << k << " of " << node_.op->name;
      result.outputs.push_back(decode(outputs_[k].content(), storage_.outputs[k].dtype));
    }
    for (std::size_t k = 0; k < inputs_.size(); ++k) {
      EXPECT_TRUE(inputs_[k].intact()) << "input " << k << " of " << node_.op->name;
      const auto content = inputs_[k].content();
      result.inputs.push_back(decode(content, storage_.inputs[k].dtype));
      if ((node_.op->mutates >> k & 1u) == 0) {
        EXPECT_EQ(content, encode(inputs[k], storage_.inputs[k].dtype))
            << node_.op->name << " changed input " << k;
      }
    }
    return result;
  }

  const Graph& graph_;
  const Node& node_;
  Graph::CallStorage storage_;
  std::int64_t slice_rows_;
  const cpu::StepState& step_;
  std::vector<Buffer> inputs_, outputs_;
};

}  // namespace

std::vector<OtherBackend>& other_backends() {
  static std::vector<OtherBackend> backends;
  return backends;
}

std::vector<std::byte> encode(const std::vector<double>& values, Dtype dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  const auto store = [&]<class T>(std::type_identity<T>) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto element = static_cast<T>(values[i]);
      std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
    }
  };
  if (dtype == Dtype::f32) store(std::type_identity<float>{});
  if (dtype == Dtype::i32) store(std::type_identity<std::int32_t>{});
  if (dtype == Dtype::u8) store(std::type_identity<std::uint8_t>{});
  return bytes;
}

std::vector<double> decode(const std::vector<std::byte>& bytes, Dtype dtype) {
  std::vector<double> values(bytes.size() / size_of(dtype));
  const auto fetch = [&]<class T>(std::type_identity<T>) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      T element;
      std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
      values[i] = static_cast<double>(element);
    }
  };
  if (dtype == Dtype::f32) fetch(std::type_identity<float>{});
  if (dtype == Dtype::i32) fetch(std::type_identity<std::int32_t>{});
  if (dtype == Dtype::u8) fetch(std::type_identity<std::uint8_t>{});
  return values;
}

NodeRun run_on_cpu(const Graph& graph, const Node& node, const std::vector<std::vector<double>>& inputs,
                   std::int64_t slice_rows, const cpu::StepState& step, unsigned accumulate,
                   const std::vector<std::vector<double>>& old) {
  return NodeOnCpu(graph, node, slice_rows, step).run(inputs, accumulate, old);
}

}  // namespace gpunn::testing
