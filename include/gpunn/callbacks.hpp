// What happens during fit() besides training: callbacks, the record of an epoch, and stopping on Ctrl-C.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gpunn/export.hpp"

namespace gpunn {

class Model;

// Names and values in the order of the progress bar: loss, accuracy, val_loss, ...
class GPUNN_API Logs {
 public:
  double operator[](std::string_view name) const;  // throws UsageError naming what there is
  bool contains(std::string_view name) const;
  void set(std::string_view name, double value);
  const std::vector<std::pair<std::string, double>>& items() const { return items_; }

 private:
  std::vector<std::pair<std::string, double>> items_;
};

// What fit() returns: the logs of every epoch.
class GPUNN_API History {
 public:
  // One value per epoch; throws UsageError naming what there is.
  std::vector<double> operator[](std::string_view name) const;
  const std::vector<Logs>& epochs() const { return epochs_; }
  bool empty() const { return epochs_.empty(); }

  bool interrupted = false;  // FitOptions::stop was set: the epoch it cut short is not in the history
  std::int64_t samples = 0;  // trained on
  double seconds = 0;        // spent training, without validation
  void add(Logs logs) { epochs_.push_back(std::move(logs)); }

 private:
  std::vector<Logs> epochs_;
};

// Derive from it and pass it to fit(). Called on the thread that called fit(); what it throws ends fit().
class GPUNN_API Callback {
 public:
  virtual ~Callback();
  virtual void on_train_begin(Model&) {}
  virtual void on_epoch_begin(Model&, int /*epoch*/) {}
  // After every `steps_per_execution` steps and after the last of an epoch, if wants_batches(); the logs are
  // averages of the epoch so far.
  virtual void on_train_batch_end(Model&, std::int64_t /*batch*/, const Logs&) {}
  virtual void on_epoch_end(Model&, int /*epoch*/, const Logs&) {}
  virtual void on_train_end(Model&) {}
  virtual bool wants_batches() const { return false; }
};
using CallbackPtr = std::shared_ptr<Callback>;

struct EarlyStoppingOptions {
  std::string monitor = "val_loss";
  double min_delta = 0;
  int patience = 0;  // stops after so many epochs in a row without improvement; 0 is 1
  // When fit() returns, whatever ended it: the weights of the best epoch go back into the model, those of the
  // first one that was looked at if none was better than another.
  bool restore_best_weights = false;
  int start_from_epoch = 0;  // earlier ones are not looked at
};
// Stops when the monitored value no longer falls (rises, for names that contain "acc"). A fit() that does not
// measure it is told so once.
GPUNN_API CallbackPtr EarlyStopping(EarlyStoppingOptions options = {});

struct ModelCheckpointOptions {
  std::string monitor = "val_loss";
  bool save_best_only = false;
  bool save_weights_only = false;
};
// Saves after each epoch. In the path "{epoch}" becomes its number, from 1, and the name of a log its value;
// either may say how, as in Python: "{epoch:02d}-{val_loss:.2f}.safetensors". Two braces stand for one.
// Throws UsageError for what is between braces otherwise: a name that the logs do not have after the first
// epoch.
GPUNN_API CallbackPtr ModelCheckpoint(std::filesystem::path path, ModelCheckpointOptions options = {});

// One line of CSV per epoch. Throws FileError when the file cannot be written.
GPUNN_API CallbackPtr CSVLogger(std::filesystem::path path);

// Sets a flag when the process is interrupted (SIGINT) or asked to end (SIGTERM), for FitOptions::stop. A
// second signal ends the process at once. Handlers are installed while the object lives; the library never
// installs any by itself. REQUIRES: one object at a time.
class GPUNN_API StopOnSignal {
 public:
  StopOnSignal();
  ~StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  const std::atomic<bool>& flag() const;
  bool stopped() const { return flag().load(); }
};

}  // namespace gpunn
