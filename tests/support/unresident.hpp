// Data that no device keeps a copy of.
#pragma once

#include <gpunn/data.hpp>
#include <utility>

namespace gpunn {

// The same samples, read batch by batch.
class Unresident : public Dataset {
 public:
  explicit Unresident(DatasetPtr whole) : whole_(std::move(whole)) {}
  std::int64_t size() const override { return whole_->size(); }
  std::vector<Field> inputs() const override { return whole_->inputs(); }
  std::vector<Field> targets() const override { return whole_->targets(); }
  bool has_weights() const override { return whole_->has_weights(); }
  void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const override {
    whole_->read(rows, fields);
  }

 private:
  DatasetPtr whole_;
};

}  // namespace gpunn
