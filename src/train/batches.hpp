// A data set as a model reads it: checked, with labels of the dtype the loss wants, bound to a step batch by
// batch.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/graph/compile.hpp"
#include "src/io/loader.hpp"
#include "src/train/step.hpp"

namespace gpunn::train {

// What the values of a field may be.
struct FieldRule {
  std::string name;          // "input 0", "labels"
  Dtype dtype = Dtype::f32;  // what the model reads; u8 data is taken as it is where this is f32
  bool finite = true;
  bool bounded = false;  // from `low` to `high`
  double low = 0, high = 0;
};

struct ReaderOptions {
  std::string function = "fit";  // for messages
  LoaderOptions loader;
  bool with_labels = true;
  bool check_data = true;
  SourceLocation where;
};

// What a step is planned for: so many samples, of so many steps where they come from buckets (else 0).
struct BatchShape {
  std::int64_t size = 0, length = 0;
  friend bool operator==(const BatchShape&, const BatchShape&) = default;
};

class BatchReader {
 public:
  // Throws ShapeError when the fields are not those of the model, DataError naming the sample for what is not
  // allowed in it: here for data in memory, in next() for other data.
  BatchReader(const DatasetPtr& data, const nn::Network& network, const TrainingOptions* training,
              ReaderOptions options);

  StepKey key(nn::Mode mode, BatchShape batch) const;
  // The shapes that batches of an epoch have, the common ones last.
  std::vector<BatchShape> shapes() const;
  std::int64_t batches() const { return loader_.batches_per_epoch(); }
  bool resident() const { return resident_; }

  void start_epoch(std::int64_t epoch) { loader_.start_epoch(static_cast<std::uint32_t>(epoch)); }
  // Turns to the next batch and returns its size; 0 at the end of the epoch.
  std::int64_t next();
  BatchShape shape() const { return {batch_->size, batch_->length}; }  // of the current batch
  // Hands the current batch to a step.
  void bind(Executable& executable);
  // The same with these rows of the resident columns instead.
  void bind_rows(Executable& executable, const std::int64_t* rows) const;
  const Batch& batch() const { return *batch_; }

 private:
  void add_field(const Field& field, const Shape& wanted, FieldRule rule);
  void book_conversions(std::int64_t samples);
  void convert_columns(std::span<const Tensor> columns);
  void check_resident(const Dataset& data) const;
  void take_batch();
  FieldFormat format(std::size_t field, std::int64_t length) const;  // in batches of this length

  ReaderOptions options_;
  std::vector<FieldFormat> formats_;  // as the step reads them
  std::vector<FieldRule> rules_;      // likewise
  std::size_t inputs_ = 0;
  bool resident_ = false;
  bool weighted_ = false;
  std::vector<Tensor> columns_;  // of resident data
  Loader loader_;
  const Batch* batch_ = nullptr;
  std::vector<Tensor> converted_;   // of batches: fields whose dtype the loader does not deliver
  std::vector<const void*> bases_;  // of the current batch
  std::uint64_t source_;            // names the resident columns to devices that keep a copy
};

// The labels of one sample, for an output of this shape.
Shape label_shape(const Loss& loss, const Shape& output);

// `data` with another weight per sample: the one it has, times sample_weight[sample], times the weight of its
// class. Throws ShapeError and DataError.
DatasetPtr weighted(DatasetPtr data, const std::optional<Tensor>& sample_weight,
                    const std::map<int, float>& class_weight, SourceLocation where);

// The step that Model::plan() is asked for.
StepKey planned_step(const nn::Network& network, const TrainingOptions* training, nn::Mode mode,
                     const PlanOptions& options, SourceLocation where);

}  // namespace gpunn::train
