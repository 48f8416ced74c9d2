// Sample and class weights, as a data set around another.

#include <algorithm>
#include <cmath>

#include "src/core/text.hpp"
#include "src/train/batches.hpp"

namespace gpunn::train {
namespace {

// The class of a row of labels: its number, or where the largest element is. None where that is no number of
// a class: labels are looked at before they are checked.
std::optional<int> class_of(const Field& field, const std::byte* row) {
  const std::int64_t elements = field.shape.elements();
  Tensor values = Tensor::borrow(Shape{elements}, field.dtype, row).to(Dtype::f32);
  const auto span = values.data<float>();
  if (elements != 1) return static_cast<int>(std::max_element(span.begin(), span.end()) - span.begin());
  const float number = span[0] * (field.dtype == Dtype::u8 ? field.scale : 1.0f);
  if (!(std::abs(number) < 1e9f)) return {};
  return static_cast<int>(number);
}

class WeightedDataset final : public Dataset {
 public:
  WeightedDataset(DatasetPtr whole, const std::optional<Tensor>& sample_weight,
                  const std::map<int, float>& class_weight)
      : whole_(std::move(whole)), sample_weight_(sample_weight), class_weight_(class_weight) {
    if (rows_are_samples()) make_columns();
  }

  std::int64_t size() const override { return whole_->size(); }
  std::vector<Field> inputs() const override { return whole_->inputs(); }
  std::vector<Field> targets() const override { return whole_->targets(); }
  bool has_weights() const override { return true; }
  std::span<const Tensor> resident() const override { return columns_; }

  std::vector<std::int64_t> bucket_lengths() const override { return whole_->bucket_lengths(); }
  std::size_t bucket_of(std::int64_t sample) const override { return whole_->bucket_of(sample); }

  void read(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const override {
    whole_->read(rows, unweighted(fields));
    write_weights(rows, fields);
  }

  void read_bucket(std::size_t bucket, std::span<const std::int64_t> rows,
                   std::span<std::byte* const> fields) const override {
    whole_->read_bucket(bucket, rows, unweighted(fields));
    write_weights(rows, fields);
  }

 private:
  std::span<std::byte* const> unweighted(std::span<std::byte* const> fields) const {
    return whole_->has_weights() ? fields : fields.first(fields.size() - 1);
  }

  void write_weights(std::span<const std::int64_t> rows, std::span<std::byte* const> fields) const {
    const bool weighted = whole_->has_weights();
    std::byte* const weights = fields.back();
    const std::size_t target = whole_->inputs().size();
    const Field field = whole_->targets().at(0);
    const std::size_t bytes = Spec{field.shape, field.dtype}.size_bytes();
    float* w = reinterpret_cast<float*>(weights);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      w[i] = (weighted ? w[i] : 1.0f) * weight(rows[i], field, fields[target] + i * bytes);
    }
  }

  // The weights are by sample, the columns by row: they can be a column only where the two are the same.
  bool rows_are_samples() const {
    if (whole_->resident().empty() || whole_->resident()[0].shape()[0] != whole_->size()) return false;
    for (std::int64_t sample = 0; sample < whole_->size(); ++sample) {
      std::int64_t row = sample;
      whole_->to_resident_rows({&row, 1});
      if (row != sample) return false;
    }
    return true;
  }

  void make_columns() {
    const auto columns = whole_->resident();
    columns_.assign(columns.begin(), columns.end() - (whole_->has_weights() ? 1 : 0));
    Tensor weights(Shape{whole_->size()});
    if (whole_->has_weights()) weights = columns.back().clone();
    const Tensor& labels = columns[whole_->inputs().size()];
    const Field field = whole_->targets().at(0);
    const std::size_t bytes = Spec{field.shape, field.dtype}.size_bytes();
    const auto w = weights.data<float>();
    for (std::int64_t i = 0; i < whole_->size(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      w[at] = (whole_->has_weights() ? w[at] : 1.0f) * weight(i, field, labels.bytes() + at * bytes);
    }
    columns_.push_back(std::move(weights));
  }

  float weight(std::int64_t sample, const Field& field, const std::byte* label) const {
    float w = sample_weight_ ? sample_weight_->data<float>()[static_cast<std::size_t>(sample)] : 1.0f;
    if (class_weight_.empty()) return w;
    const std::optional<int> number = class_of(field, label);
    const auto found = number ? class_weight_.find(*number) : class_weight_.end();
    return found == class_weight_.end() ? w : w * found->second;
  }

  DatasetPtr whole_;
  std::optional<Tensor> sample_weight_;
  std::map<int, float> class_weight_;
  std::vector<Tensor> columns_;
};

}  // namespace

DatasetPtr weighted(DatasetPtr data, const std::optional<Tensor>& sample_weight,
                    const std::map<int, float>& class_weight, SourceLocation where) {
  if (!sample_weight && class_weight.empty()) return data;
  if (data->targets().size() != 1) throw UsageError("weights need data with one target", where);
  const auto expect = [&](const std::string& name, float weight) {
    if (!(weight >= 0 && std::isfinite(weight))) throw DataError(cat(name, " is ", weight), where);
  };
  for (const auto& [label, weight] : class_weight) expect(cat("class_weight of ", label), weight);
  if (sample_weight) {
    if (sample_weight->dtype() != Dtype::f32 || sample_weight->shape() != Shape{data->size()}) {
      throw ShapeError(cat("sample_weight is ", sample_weight->dtype(), " ", sample_weight->shape(),
                           ", not f32 [", data->size(), "]"),
                       where);
    }
    const auto weights = sample_weight->data<float>();
    for (std::size_t i = 0; i < weights.size(); ++i) expect(cat("sample_weight of sample ", i), weights[i]);
  }
  return std::make_shared<WeightedDataset>(std::move(data), sample_weight, class_weight);
}

}  // namespace gpunn::train
