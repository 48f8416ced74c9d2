#include "gpunn/callbacks.hpp"

#include <cmath>
#include <csignal>
#include <cstring>
#include <fstream>
#include <map>

#include "gpunn/model.hpp"
#include "src/core/log.hpp"
#include "src/core/text.hpp"
#include "src/train/path_pattern.hpp"

namespace gpunn {

double Logs::operator[](std::string_view name) const {
  std::string known;
  for (const auto& [key, value] : items_) {
    if (key == name) return value;
    known += " " + key;
  }
  throw UsageError(cat("the logs have no '", name, "'; they have:", known));
}

bool Logs::contains(std::string_view name) const {
  for (const auto& item : items_) {
    if (item.first == name) return true;
  }
  return false;
}

void Logs::set(std::string_view name, double value) {
  for (auto& item : items_) {
    if (item.first == name) {
      item.second = value;
      return;
    }
  }
  items_.emplace_back(name, value);
}

std::vector<double> History::operator[](std::string_view name) const {
  std::vector<double> values;
  for (const Logs& logs : epochs_) values.push_back(logs[name]);
  return values;
}

Callback::~Callback() = default;

namespace {

// Whether a monitored value is better than the best so far.
class Monitor {
 public:
  Monitor(std::string name, double min_delta)
      : name_(std::move(name)), rises_(name_.find("acc") != std::string::npos), min_delta_(min_delta) {}

  void forget_best() { best_ = rises_ ? -INFINITY : INFINITY; }
  void begin_fit() { told_ = false; }

  // Tells it once per fit if not.
  bool measured(const Logs& logs) {
    if (logs.contains(name_)) return true;
    if (!told_) log_warning(cat("a callback monitors '", name_, "', which this fit() does not measure"));
    told_ = true;
    return false;
  }

  // REQUIRES: measured(logs).
  bool improves(const Logs& logs) {
    const double value = logs[name_];
    if (rises_ ? !(value - min_delta_ > best_) : !(value + min_delta_ < best_)) return false;
    best_ = value;
    return true;
  }

 private:
  std::string name_;
  bool rises_;
  double min_delta_;
  double best_ = rises_ ? -INFINITY : INFINITY;
  bool told_ = false;
};

class EarlyStoppingCallback final : public Callback {
 public:
  explicit EarlyStoppingCallback(EarlyStoppingOptions options)
      : options_(std::move(options)), monitor_(options_.monitor, std::abs(options_.min_delta)) {}

  void on_train_begin(Model&) override {
    monitor_.begin_fit();
    monitor_.forget_best();
    waited_ = 0;
    best_weights_.clear();
  }

  void on_epoch_end(Model& model, int epoch, const Logs& logs) override {
    if (!monitor_.measured(logs) || epoch < options_.start_from_epoch) return;
    const bool better = monitor_.improves(logs);
    if (better || best_weights_.empty()) remember(model);  // the first, whatever it is worth
    waited_ = better ? 0 : waited_ + 1;
    if (!better && waited_ >= options_.patience && epoch > 0) model.stop_training();
  }

  void on_train_end(Model& model) override {
    restore(model);
    best_weights_.clear();
  }

 private:
  void remember(const Model& model) {
    if (!options_.restore_best_weights) return;
    for (const std::string& name : model.weight_names()) best_weights_[name] = model.weight(name).clone();
  }
  void restore(Model& model) const {
    for (const auto& [name, best] : best_weights_) {
      Tensor weight = model.weight(name);
      if (best.size_bytes() > 0) std::memcpy(weight.bytes(), best.bytes(), best.size_bytes());
    }
  }

  EarlyStoppingOptions options_;
  Monitor monitor_;
  int waited_ = 0;
  std::map<std::string, Tensor> best_weights_;
};

class ModelCheckpointCallback final : public Callback {
 public:
  ModelCheckpointCallback(const std::filesystem::path& path, ModelCheckpointOptions options)
      : path_(path.string()), options_(std::move(options)), monitor_(options_.monitor, 0) {}

  // The best so far stays, as in Keras: a second fit() must not write over a better model of the first.
  void on_train_begin(Model&) override { monitor_.begin_fit(); }

  void on_epoch_end(Model& model, int epoch, const Logs& logs) override {
    if (options_.save_best_only && !(monitor_.measured(logs) && monitor_.improves(logs))) return;
    const std::string path = path_.fill(epoch + 1, logs);
    options_.save_weights_only ? model.save_weights(path) : model.save(path);
  }

 private:
  train::PathPattern path_;
  ModelCheckpointOptions options_;
  Monitor monitor_;
};

class CsvLoggerCallback final : public Callback {
 public:
  explicit CsvLoggerCallback(std::filesystem::path path) : path_(std::move(path)) {}

  void on_train_begin(Model&) override {
    out_ = std::ofstream(path_);
    out_.precision(9);
    header_ = false;
    check();
  }

  void on_epoch_end(Model&, int epoch, const Logs& logs) override {
    if (!header_) {
      out_ << "epoch";
      for (const auto& [name, value] : logs.items()) out_ << ',' << name;
      out_ << '\n';
      header_ = true;
    }
    out_ << epoch;
    for (const auto& [name, value] : logs.items()) out_ << ',' << value;
    out_ << '\n' << std::flush;
    check();
  }

 private:
  void check() const {
    if (!out_) throw FileError(cat("CSVLogger: cannot write ", path_.string()));
  }
  std::filesystem::path path_;
  std::ofstream out_;
  bool header_ = false;
};

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

using SignalAction = struct sigaction;
SignalAction previous_interrupt, previous_terminate;

void request_stop(int signal) {
  if (stop_requested.exchange(true)) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

CallbackPtr EarlyStopping(EarlyStoppingOptions options) {
  return std::make_shared<EarlyStoppingCallback>(std::move(options));
}

CallbackPtr ModelCheckpoint(std::filesystem::path path, ModelCheckpointOptions options) {
  return std::make_shared<ModelCheckpointCallback>(path, std::move(options));
}

CallbackPtr CSVLogger(std::filesystem::path path) {
  return std::make_shared<CsvLoggerCallback>(std::move(path));
}

StopOnSignal::StopOnSignal() {
  stop_requested = false;
  SignalAction action{};
  action.sa_handler = request_stop;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;  // files being read are not disturbed
  sigaction(SIGINT, &action, &previous_interrupt);
  sigaction(SIGTERM, &action, &previous_terminate);
}

StopOnSignal::~StopOnSignal() {
  sigaction(SIGINT, &previous_interrupt, nullptr);
  sigaction(SIGTERM, &previous_terminate, nullptr);
}

const std::atomic<bool>& StopOnSignal::flag() const {
  return stop_requested;
}

}  // namespace gpunn
