#include "src/train/fit.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "src/core/log.hpp"
#include "src/core/text.hpp"
#include "src/core/trace.hpp"
#include "src/train/averages.hpp"
#include "src/train/batches.hpp"
#include "src/train/objectives.hpp"
#include "src/train/progress.hpp"

namespace gpunn::train {
namespace {

using Clock = std::chrono::steady_clock;

Averages averages_of(const ModelState& state) {
  std::vector<std::string> names{"loss"};
  for (const Metric metric : state.training->metrics) names.push_back(metric_name(metric));
  return Averages(std::move(names));
}

cpu::StepState step_state(const ModelState& state) {
  return {.seed = state.options.seed,
          .step = state.step,
          .learning_rate = static_cast<float>(state.learning_rate),
          .gradient_scale = 1};
}

ReaderOptions reader_options(std::string function, std::int64_t batch_size, bool check_data,
                             SourceLocation where) {
  return {.function = std::move(function),
          .loader = {.batch_size = batch_size, .shuffle = false},
          .with_labels = true,
          .check_data = check_data,
          .where = where};
}

// The executable for a mode and the batch at hand; its results are taken in before it is left for another.
class Stepper {
 public:
  Stepper(ModelState& state, BatchReader& reader, nn::Mode mode, Averages& averages)
      : state_(state), reader_(reader), mode_(mode), averages_(averages) {}

  // What an exception cuts short was counted as done.
  ~Stepper() {
    try {
      flush();
    } catch (const std::exception& error) {
      log_warning(cat("the last steps were not run: ", error.what()));
    }
  }
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  void turn_to(BatchShape batch) {
    if (batch == batch_) return;
    take_results();
    executable_ = &state_.executable(reader_.key(mode_, batch));
    batch_ = batch;
    forget_results(*executable_);
    executable_->set_group(static_cast<int>(state_.training->steps_per_execution));
  }

  // To be called when others may have used the model's cache of executables.
  void leave() {
    take_results();
    executable_ = nullptr;
    batch_ = {};
  }

  // The batch that the reader has turned to.
  void run(const cpu::StepState& step) {
    turn_to(reader_.shape());
    if (mode_ == nn::Mode::train) {
      if (trace::changes_at(step.step)) take_results();  // waits for what was held back or is under way
      trace::at_step(step.step);
    }
    std::string name;
    if (trace::to_file()) name = cat(mode_ == nn::Mode::train ? "step " : "evaluation at step ", step.step);
    const trace::Range range({"step", name});
    reader_.bind(*executable_);
    executable_->run(step);
  }

  void flush() {
    if (executable_ != nullptr) executable_->flush();
  }

  void take_results() {
    if (executable_ != nullptr) averages_.take(*executable_);
  }

 private:
  ModelState& state_;
  BatchReader& reader_;
  nn::Mode mode_;
  Averages& averages_;
  Executable* executable_ = nullptr;
  BatchShape batch_;  // what executable_ is for
};

bool is_set(const std::atomic<bool>* flag) {
  return flag != nullptr && flag->load(std::memory_order_relaxed);
}

// Runs all batches of `reader` through evaluation steps; false: `stop` was set meanwhile.
bool evaluate_all(ModelState& state, BatchReader& reader, Averages& averages, Progress* progress,
                  const std::atomic<bool>* stop) {
  averages.reset();
  reader.start_epoch(0);
  Stepper stepper(state, reader, nn::Mode::evaluate, averages);
  std::int64_t done = 0;
  while (!is_set(stop) && reader.next() > 0) {
    stepper.run(step_state(state));
    if (progress == nullptr || !progress->due(++done)) continue;
    stepper.take_results();
    Logs logs;
    averages.write(logs);
    progress->show(done, logs);
  }
  stepper.leave();
  return !is_set(stop);
}

void check_options(const FitOptions& o, SourceLocation where) {
  const auto expect = [&](bool ok, const std::string& what) {
    if (!ok) throw UsageError("fit: " + what, where);
  };
  expect(o.batch_size > 0, cat("batch_size is ", o.batch_size));
  expect(o.epochs >= 0, cat("epochs is ", o.epochs));
  expect(o.initial_epoch >= 0, cat("initial_epoch is ", o.initial_epoch));
  expect(o.validation_split >= 0 && o.validation_split < 1, cat("validation_split is ", o.validation_split));
  expect(o.prefetch >= 0, cat("prefetch is ", o.prefetch));
  expect(std::ranges::count(o.callbacks, nullptr) == 0, "a callback is null");
}

struct Parts {
  DatasetPtr train, validation;
};

// The data of a fit, with its weights; the last share of the samples apart, as Keras takes it.
Parts divide(const DatasetPtr& data, const FitOptions& o, SourceLocation where) {
  if (!data) throw UsageError("fit: no data", where);
  Parts parts{weighted(data, o.sample_weight, {}, where), o.validation_data};
  if (o.validation_split > 0 && !parts.validation) {
    const std::int64_t n = data->size();
    const auto cut = static_cast<std::int64_t>(std::floor(static_cast<double>(n) * (1 - o.validation_split)));
    if (cut == 0 || cut == n) {
      throw UsageError(
          cat("fit: validation_split ", o.validation_split, " of ", n, " samples leaves one part empty"),
          where);
    }
    parts.validation = data::subset(parts.train, cut, n);
    parts.train = data::subset(parts.train, 0, cut);
  }
  parts.train = weighted(parts.train, {}, o.class_weight, where);
  if (parts.train->size() == 0) throw DataError("fit: the data has no samples", where);
  return parts;
}

class Fit {
 public:
  Fit(Model& model, ModelState& state, const DatasetPtr& data, const FitOptions& options,
      SourceLocation where)
      : model_(model),
        state_(state),
        options_(options),
        where_(where),
        parts_(divide(data, options, where)),
        reader_(parts_.train, state.network, &*state.training, training_reader()),
        averages_(averages_of(state)),
        stepper_(state, reader_, nn::Mode::train, averages_),
        progress_(options.verbose, options.epochs, reader_.batches()),
        batch_callbacks_(std::any_of(options.callbacks.begin(), options.callbacks.end(),
                                     [](const CallbackPtr& c) { return c->wants_batches(); })) {
    if (parts_.validation) {
      ReaderOptions reader = reader_options("fit, validation", options.batch_size, options.check_data, where);
      reader.loader.prefetch = options.prefetch;
      validation_.emplace(parts_.validation, state.network, &*state.training, std::move(reader));
    }
  }

  History run() {
    state_.stop = false;
    plan_steps();
    each([&](Callback& c) { c.on_train_begin(model_); });
    for (int epoch = options_.initial_epoch; epoch < options_.epochs && !state_.stop; ++epoch) {
      if (!run_epoch(epoch)) {
        history_.interrupted = true;
        progress_.close();
        break;
      }
    }
    each([&](Callback& c) { c.on_train_end(model_); });
    return std::move(history_);
  }

 private:
  ReaderOptions training_reader() const {
    ReaderOptions reader = reader_options("fit", options_.batch_size, options_.check_data, where_);
    reader.loader.shuffle = options_.shuffle;
    reader.loader.seed = options_.seed.value_or(state_.options.seed);
    reader.loader.prefetch = options_.prefetch;
    return reader;
  }

  template <class F>
  void each(F&& call) {
    for (const CallbackPtr& callback : options_.callbacks) call(*callback);
  }

  // Before the clock starts.
  void plan_steps() {
    const std::vector<BatchShape> shapes = reader_.shapes();
    if (shapes.size() > StepCache::kCapacity) {
      log_warning(cat("fit: batches of ", shapes.size(), " shapes, of which only ", StepCache::kCapacity,
                      " stay planned: use fewer buckets"));
    }
    if (validation_) {  // so that its batches are refused before an epoch rather than after
      for (const BatchShape& shape : validation_->shapes())
        state_.executable(validation_->key(nn::Mode::evaluate, shape));
    }
    for (const BatchShape& shape : shapes) stepper_.turn_to(shape);
    stepper_.leave();  // callbacks may use the model
  }

  // False: interrupted.
  bool run_epoch(int epoch) {
    each([&](Callback& c) { c.on_epoch_begin(model_, epoch); });
    progress_.begin_epoch(epoch);
    const auto start = Clock::now();
    averages_.reset();
    reader_.start_epoch(state_.epoch);
    const bool completed = run_steps(epoch);
    take_results(epoch);
    stepper_.leave();  // callbacks may use the model
    history_.seconds += std::chrono::duration<double>(Clock::now() - start).count();
    if (!completed) return false;
    ++state_.epoch;

    Logs logs;
    averages_.write(logs);
    if (validation_) {
      Averages averages = averages_of(state_);
      if (!evaluate_all(state_, *validation_, averages, nullptr, options_.stop)) return false;
      averages.write(logs, "val_");
    }
    progress_.end_epoch(steps_, logs);
    each([&](Callback& c) { c.on_epoch_end(model_, epoch, logs); });
    history_.add(std::move(logs));
    return true;
  }

  bool run_steps(int epoch) {
    cpu::StepState step = step_state(state_);
    const std::int64_t group = state_.training->steps_per_execution;
    std::int64_t until_pause = group;
    steps_ = 0;
    while (const std::int64_t size = reader_.next()) {
      stepper_.run(step);
      step.step = ++state_.step;
      history_.samples += size;
      ++steps_;
      if (--until_pause > 0) continue;
      until_pause = group;
      if (!pause(epoch)) return false;
      if (state_.stop) return true;
      step.learning_rate = static_cast<float>(state_.learning_rate);
    }
    return until_pause == group || pause(epoch);  // the last group may be a short one
  }

  // Between groups of steps. False: interrupted.
  bool pause(int epoch) {
    stepper_.flush();
    if (is_set(options_.stop)) return false;
    const bool show = progress_.due(steps_);
    if (!show && !batch_callbacks_ && !options_.terminate_on_nan) return true;
    take_results(epoch);
    averages_.write(batch_logs_);
    if (show) progress_.show(steps_, batch_logs_);
    if (batch_callbacks_) {
      stepper_.leave();
      each([&](Callback& c) {
        if (c.wants_batches()) c.on_train_batch_end(model_, steps_ - 1, batch_logs_);
      });
    }
    return true;
  }

  void take_results(int epoch) {
    stepper_.take_results();
    if (averages_.loss_is_finite() || diverged_) return;
    diverged_ = true;
    const std::string what =
        cat("fit: the loss is no longer finite, by step ", steps_, " of epoch ", epoch + 1);
    if (options_.terminate_on_nan) throw Diverged(what, where_);
    progress_.close();
    log_warning(what);
  }

  Model& model_;
  ModelState& state_;
  const FitOptions& options_;
  SourceLocation where_;
  Parts parts_;
  BatchReader reader_;
  std::optional<BatchReader> validation_;
  Averages averages_;
  Stepper stepper_;
  Progress progress_;
  bool batch_callbacks_ = false;
  Logs batch_logs_;
  History history_;
  std::int64_t steps_ = 0;  // of this epoch
  bool diverged_ = false;
};

}  // namespace

History fit(Model& model, ModelState& state, const DatasetPtr& data, const FitOptions& options,
            SourceLocation where) {
  state.compiled("fit", where);
  check_options(options, where);
  if (!options.class_weight.empty() && state.network.output(0).shape.rank() > 1) {
    throw UsageError(cat("fit: class_weight needs one label per sample; the model's output is ",
                         state.network.output(0).shape),
                     where);
  }
  if (const auto* layer = state.network.stateful(); layer != nullptr && options.shuffle) {
    log_warning(
        cat("fit: layer '", layer->name, "' (", layer->definition->type(),
            ") is stateful, but shuffled batches do not go on where the one before ended: use .shuffle "
            "= false"));
  }
  state.allocate_training();
  return Fit(model, state, data, options, where).run();
}

Logs evaluate(ModelState& state, const DatasetPtr& data, const EvaluateOptions& options,
              SourceLocation where) {
  const TrainingOptions& training = state.compiled("evaluate", where);
  if (!data || data->size() == 0) throw DataError("evaluate: the data has no samples", where);
  ReaderOptions reader_settings = reader_options("evaluate", options.batch_size, options.check_data, where);
  reader_settings.loader.prefetch = options.prefetch;
  BatchReader reader(data, state.network, &training, std::move(reader_settings));
  Averages averages = averages_of(state);
  Progress progress(options.verbose, 0, reader.batches());
  progress.begin_epoch(0);
  const bool completed = evaluate_all(state, reader, averages, &progress, options.stop);
  Logs logs;
  averages.write(logs);
  if (completed) progress.end_epoch(reader.batches(), logs);
  return logs;
}

Logs train_on_batch(ModelState& state, const DatasetPtr& data, SourceLocation where) {
  const TrainingOptions& training = state.compiled("train_on_batch", where);
  if (data->size() == 0) throw DataError("train_on_batch: the data has no samples", where);
  state.allocate_training();
  BatchReader reader(data, state.network, &training,
                     reader_options("train_on_batch", data->size(), /*check_data=*/true, where));
  reader.start_epoch(0);
  Averages averages = averages_of(state);
  Stepper stepper(state, reader, nn::Mode::train, averages);
  reader.next();
  stepper.run(step_state(state));
  ++state.step;
  stepper.leave();
  Logs logs;
  averages.write(logs);
  return logs;
}

}  // namespace gpunn::train
