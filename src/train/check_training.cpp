// What compile() and a saved model's training settings must keep to.

#include <algorithm>

#include "src/core/text.hpp"
#include "src/train/batches.hpp"
#include "src/train/objectives.hpp"

namespace gpunn::train {
namespace {

void check_settings(const TrainingOptions& training, SourceLocation where) {
  validate(training.optimizer, where);
  const Loss& loss = training.loss;
  if (loss.kind == Loss::Kind::none) throw UsageError("compile: no loss", where);
  if (!(loss.label_smoothing >= 0 && loss.label_smoothing <= 1))
    throw UsageError(cat("compile: label_smoothing is ", loss.label_smoothing, ", not from 0 to 1"), where);
  if (training.steps_per_execution < 1)
    throw UsageError(cat("compile: steps_per_execution is ", training.steps_per_execution), where);
  // The loss has the first pair.
  if (training.metrics.size() >= VariableStore::kMaxResults) {
    throw UsageError(cat("compile: ", training.metrics.size(), " metrics, of which ",
                         VariableStore::kMaxResults - 1, " are possible"),
                     where);
  }
}

// Any would do, but for stateful layers.
std::int64_t trial_batch(const nn::Network& network) {
  std::int64_t batch = 1;
  for (const auto& layer : network.layers()) batch = std::max(batch, layer.definition->batch_size());
  return batch;
}

}  // namespace

void check_training(const TrainingOptions& training, const nn::Network& network, const VariableStore& store,
                    SourceLocation where) {
  check_settings(training, where);
  if (network.outputs().size() != 1) {
    throw UsageError(cat("compile: the model has ", network.outputs().size(), " outputs; one can be trained"),
                     where);
  }
  if (network.output(0).shape.rank() == 0) {
    throw ShapeError(
        "compile: the model's output is one number per sample without an axis; end with Dense(1)", where);
  }
  const StepKey key =
      planned_step(network, &training, nn::Mode::train, {.batch_size = trial_batch(network)}, where);
  try {
    static_cast<void>(build_step(network, store, &training, key, "cpu"));  // the device changes no shape
  } catch (const ShapeError& error) {
    throw ShapeError(cat("compile: ", error.what()), where);
  } catch (const UsageError& error) {
    throw UsageError(cat("compile: ", error.what()), where);
  }
}

}  // namespace gpunn::train
