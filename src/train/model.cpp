#include "gpunn/model.hpp"

#include <algorithm>

#include "src/core/log.hpp"
#include "src/core/text.hpp"
#include "src/graph/devices.hpp"
#include "src/nn/summary.hpp"
#include "src/train/batches.hpp"
#include "src/train/fit.hpp"
#include "src/train/model_state.hpp"
#include "src/train/objectives.hpp"

namespace gpunn {
namespace {

std::unique_ptr<ModelState> make_state(nn::Network network, ModelOptions options, const char* kind,
                                       SourceLocation where) {
  auto state = std::make_unique<ModelState>(std::move(network), std::move(options), kind, where);
  state->initialize();
  return state;
}

// [samples, input shape...] over the caller's memory.
Tensor rows_over(const ModelState& state, std::span<const float> x, const char* function,
                 SourceLocation where) {
  const Shape& row = state.network.input(0).shape;
  const auto elements = static_cast<std::size_t>(row.elements());
  if (elements == 0 || x.size() % elements != 0) {
    throw ShapeError(cat(function, ": ", x.size(), " numbers are not whole samples of ", row), where);
  }
  return Tensor::borrow(row.with_front(static_cast<std::int64_t>(x.size() / elements)), Dtype::f32, x.data());
}

template <class T>
Tensor labels_over(std::span<const T> y, const Tensor& x, const char* function, SourceLocation where) {
  const std::int64_t samples = x.shape()[0];
  const auto count = static_cast<std::int64_t>(y.size());
  if (samples == 0 || count % samples != 0) {
    throw ShapeError(cat(function, ": ", count, " labels for ", samples, " samples"), where);
  }
  const Shape shape = count == samples ? Shape{samples} : Shape{samples, count / samples};
  return Tensor::borrow(shape, dtype_of<T>, y.data());
}

DatasetPtr dataset(Tensor x, Tensor y, SourceLocation where) {
  return std::make_shared<TensorDataset>(std::move(x), std::move(y), where);
}

DatasetPtr inputs_only(Tensor x, SourceLocation where) {
  return std::make_shared<TensorDataset>(TensorDataset::Columns{.inputs = {std::move(x)}}, where);
}

}  // namespace

Model::Model(std::unique_ptr<ModelState> state) : state_(std::move(state)) {}

Model::Model(const std::vector<Symbolic>& inputs, const std::vector<Symbolic>& outputs, ModelOptions options,
             SourceLocation where)
    : Model(make_state(nn::Network(inputs, outputs, where), std::move(options), "Functional", where)) {}

Model::Model(const Symbolic& input, const Symbolic& output, ModelOptions options, SourceLocation where)
    : Model(std::vector{input}, std::vector{output}, std::move(options), where) {}

Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;
Model::~Model() = default;

Sequential::Sequential(const std::vector<Layer>& layers, ModelOptions options, SourceLocation where)
    : Model(make_state(nn::Network::chain(layers, where), std::move(options), "Sequential", where)) {}

Sequential::Sequential(std::initializer_list<Layer> layers, ModelOptions options, SourceLocation where)
    : Sequential(std::vector<Layer>(layers), std::move(options), where) {}

void Model::compile(TrainingOptions options, SourceLocation where) {
  if (state_->inference_only) throw UsageError("compile: this model is a clone for inference", where);
  train::check_training(options, state_->network, state_->variables, where);
  state_->set_training(std::move(options));
}

History Model::fit(const DatasetPtr& data, FitOptions options, SourceLocation where) {
  return train::fit(*this, *state_, data, options, where);
}

History Model::fit(const Tensor& x, const Tensor& y, FitOptions options, SourceLocation where) {
  return train::fit(*this, *state_, dataset(x, y, where), options, where);
}

History Model::fit(std::span<const float> x, std::span<const float> y, FitOptions options,
                   SourceLocation where) {
  const Tensor rows = rows_over(*state_, x, "fit", where);
  return fit(rows, labels_over(y, rows, "fit", where), std::move(options), where);
}

History Model::fit(std::span<const float> x, std::span<const std::int32_t> y, FitOptions options,
                   SourceLocation where) {
  const Tensor rows = rows_over(*state_, x, "fit", where);
  return fit(rows, labels_over(y, rows, "fit", where), std::move(options), where);
}

Logs Model::evaluate(const DatasetPtr& data, EvaluateOptions options, SourceLocation where) {
  if (options.batch_size < 1) throw UsageError(cat("evaluate: batch_size is ", options.batch_size), where);
  if (options.prefetch < 0) throw UsageError(cat("evaluate: prefetch is ", options.prefetch), where);
  return train::evaluate(*state_, data, options, where);
}

Logs Model::evaluate(const Tensor& x, const Tensor& y, EvaluateOptions options, SourceLocation where) {
  return evaluate(dataset(x, y, where), options, where);
}

std::vector<Tensor> Model::predict(const DatasetPtr& data, PredictOptions options, SourceLocation where) {
  return train::predict(*state_, data, options, where);
}

Tensor Model::predict(const Tensor& x, PredictOptions options, SourceLocation where) {
  return train::predict(*state_, inputs_only(x, where), options, where).at(0);
}

Tensor Model::predict(std::span<const float> x, PredictOptions options, SourceLocation where) {
  return predict(rows_over(*state_, x, "predict", where), options, where);
}

Logs Model::train_on_batch(const Tensor& x, const Tensor& y, std::optional<Tensor> sample_weight,
                           SourceLocation where) {
  const auto data = std::make_shared<TensorDataset>(
      TensorDataset::Columns{.inputs = {x}, .targets = {y}, .weights = std::move(sample_weight)}, where);
  return train::train_on_batch(*state_, data, where);
}

std::int64_t Model::count_params() const {
  std::int64_t n = 0;
  for (const Variable& variable : state_->variables.variables()) n += variable.spec.shape.elements();
  return n;
}

std::string Model::summary() const {
  std::int64_t optimizer = -1;
  if (state_->training && state_->step > 0) {  // Keras's optimizer has variables once it has trained
    std::int64_t trainable = 0;
    for (const Variable& v : state_->variables.variables())
      trainable += v.trainable ? v.spec.shape.elements() : 0;
    optimizer = train::slots(state_->training->optimizer) * trainable + 2;  // step and learning rate
  }
  return nn::summary(state_->network, state_->options.name, optimizer);
}

StepPlan Model::plan(PlanOptions options, SourceLocation where) const {
  if (options.batch_size < 1) throw UsageError(cat("plan: batch_size is ", options.batch_size), where);
  std::optional<nn::Mode> mode;
  for (const auto known : {nn::Mode::train, nn::Mode::evaluate, nn::Mode::predict}) {
    if (to_string(known) == options.mode) mode = known;
  }
  if (!mode) throw UsageError(cat("plan: there is no mode '", options.mode, "'"), where);
  const TrainingOptions* training = state_->training ? &*state_->training : nullptr;
  if (*mode != nn::Mode::predict) training = &state_->compiled("plan", where);
  const train::StepKey key = train::planned_step(state_->network, training, *mode, options, where);
  const std::string device =
      options.device.empty() ? state_->options.device : resolve_plan_device(options.device, where);
  if (options.device.empty()) {
    if (const Executable* bound = state_->steps.find(key))
      return {bound->plan().to_text(), bound->plan().to_json()};
  }
  const Planned planned =
      plan_graph(train::build_step(state_->network, state_->variables, training, key, device),
                 state_->variables, state_->threads(), {.device = device, .policy = state_->policy()});
  return {planned.plan.to_text(), planned.plan.to_json()};
}

const std::string& Model::name() const {
  return state_->options.name;
}

std::vector<std::string> Model::weight_names() const {
  std::vector<std::string> names;
  for (const Variable& variable : state_->variables.variables()) names.push_back(variable.name);
  return names;
}

Tensor Model::weight(std::string_view name, SourceLocation where) const {
  const auto& variables = state_->variables.variables();
  for (std::size_t i = 0; i < variables.size(); ++i) {
    if (variables[i].name == name) return state_->variables.tensor(static_cast<int>(i));
  }
  throw UsageError(cat("the model '", this->name(), "' has no weight '", name, "'"), where);
}

double Model::learning_rate() const {
  return state_->learning_rate;
}

void Model::set_learning_rate(double rate, SourceLocation where) {
  train::check_learning_rate(rate, where);
  state_->learning_rate = rate;
}

void Model::reset_states() {
  for (const auto& layer : state_->network.layers()) {
    for (std::size_t i = 0; i < layer.variables.size(); ++i) {
      if (!layer.variables[i].sequence_state) continue;
      Tensor state = state_->variables.tensor(layer.first_variable + static_cast<int>(i));
      std::ranges::fill(state.data<float>(), 0.0f);
    }
  }
}

std::int64_t Model::steps() const {
  return state_->step;
}

void Model::stop_training() {
  state_->stop = true;
}

Model Model::clone_for_inference() const {
  if (const auto* layer = state_->network.stateful()) {
    throw UsageError(cat("clone_for_inference: layer '", layer->name, "' (", layer->definition->type(),
                         ") is stateful, and clones would share its state; load a saved copy instead"));
  }
  auto clone = std::make_unique<ModelState>(state_->network, state_->options, state_->kind, SourceLocation{});
  clone->variables = state_->variables.share();
  clone->inference_only = true;
  return Model(std::move(clone));
}

}  // namespace gpunn
