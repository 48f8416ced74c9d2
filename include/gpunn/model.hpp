// Models: networks with weights, that can be trained, evaluated, used and saved.
//
//   gpunn::Sequential model({gpunn::Input({10}), gpunn::Dense(64, {.activation = gpunn::relu}),
//                            gpunn::Dense(1, {.activation = gpunn::sigmoid})});
//   model.compile({.optimizer = gpunn::Adam(),
//                  .loss = gpunn::BinaryCrossentropy(),
//                  .metrics = {gpunn::accuracy}});
//   model.fit(x, y, {.epochs = 10});
//
// Different models may be used in different threads at once; one model may not. Equal seeds give equal
// weights, bit for bit, whatever the number of threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gpunn/callbacks.hpp"
#include "gpunn/data.hpp"
#include "gpunn/layers.hpp"
#include "gpunn/losses.hpp"
#include "gpunn/metrics.hpp"
#include "gpunn/optimizers.hpp"
#include "gpunn/tensor.hpp"

namespace gpunn {

struct ModelState;

struct ModelOptions {
  std::string name = {};        // default: "sequential" or "functional"
  std::string device = "auto";  // "auto" (a GPU if there is one, else the cpu), "cpu", "cuda", "cuda:1", ...
  // true: a device that is named here and cannot be had is a DeviceError, and so is a product or convolution
  // that cuBLASLt or cuDNN should compute and cannot; it names op, layer, shapes and reason. false: a
  // warning, and the cpu, or a kernel of ours. "auto" takes the cpu where there is no GPU, with a line in the
  // log; where there is a driver or a GPU that cannot be used, `strict` makes that an error, too.
  bool strict = false;
  int threads = 0;         // 0: as many as the process may use. The results do not depend on it.
  std::uint64_t seed = 0;  // of initial weights, dropout and, unless fit() is given another, shuffling
  // On GPUs since Ampere: cuBLASLt and cuDNN may round the operands of products and convolutions to TF32 (10
  // bits of mantissa, like half precision), which is several times as fast; sums stay fp32, and so do kernels
  // of ours. The plan names the steps that do.
  bool allow_tf32 = false;
  // false: on a GPU cuBLASLt and cuDNN may take engines that add in whatever order things happen to be ready,
  // so that equal seeds no longer give equal bits there.
  bool deterministic = true;
  // Both are told in the log and kept in what save() writes. On the cpu, and for TF32 on older GPUs, neither
  // changes anything, and the log says so.
};

struct TrainingOptions {
  Optimizer optimizer = SGD();
  Loss loss = {};
  std::vector<Metric> metrics = {};
  // Batch callbacks and interruption act after so many steps, and after the last of an epoch.
  int steps_per_execution = 1;
};

enum class Verbose : std::uint8_t {
  automatic,  // bar on a terminal, else lines
  silent,
  bar,    // Keras's progress bar, redrawn in place
  lines,  // one line per epoch, and one every few seconds within a long one
};

struct FitOptions {
  int epochs = 1;
  std::int64_t batch_size = 32;
  // With stateful layers a warning: their state goes on with the sample in the same place of the next batch.
  bool shuffle = true;
  DatasetPtr validation_data = nullptr;
  // The last share of the samples, set apart before shuffling; not looked at where validation_data is given.
  double validation_split = 0;
  std::map<int, float> class_weight = {};    // by class number, of one label per sample; 1 for others
  std::optional<Tensor> sample_weight = {};  // [samples] f32; multiplies the loss of each sample
  std::vector<CallbackPtr> callbacks = {};
  Verbose verbose = Verbose::automatic;
  int initial_epoch = 0;
  std::optional<std::uint64_t> seed = {};  // of shuffling; default: the model's
  int prefetch = 2;                        // batches read ahead for data that is not in memory; 0: none
  bool check_data = true;  // refuse NaN and infinities (DataError naming the row); labels are always checked
  bool terminate_on_nan = false;            // throw Diverged when the loss is no longer finite, else warn
  const std::atomic<bool>* stop = nullptr;  // set it to end fit() after the step in progress, also of a
                                            // validation (StopOnSignal)
};

struct EvaluateOptions {
  std::int64_t batch_size = 32;
  Verbose verbose = Verbose::silent;
  int prefetch = 2;
  bool check_data = true;
  const std::atomic<bool>* stop = nullptr;  // set it to end evaluate(): the logs are of the steps until then
};

struct PredictOptions {
  std::int64_t batch_size = 32;
};

struct PlanOptions {
  std::string mode = "train";  // "train", "evaluate", "predict"
  std::int64_t batch_size = 32;
  // What the step will read: bytes are scaled within it, weights are multiplied to its losses. Without data:
  // f32 of the model's shapes, no weights.
  DatasetPtr data = {};
  // Empty: the model's device. Or another one, or a GPU that need not be here: "t4", "a100", "l4", "h100",
  // "b200", "rtx5090". cuDNN's engines are then those that it chooses for that GPU; cuBLASLt chooses when the
  // model is bound. These names need libgpunn_cuda beside libgpunn: plan() throws DeviceError without it.
  std::string device = {};
};

// What a step will do and use. Of all this only the weights (parameters and state) exist, which a model
// allocates when it is made; gradients, optimizer slots, arenas and workspaces are allocated when the first
// step of its kind is about to run. Once the model has run such a step, the plan
// is that of the run: with the algorithms that were chosen when it was bound, and what fell back then.
struct StepPlan {
  std::string text;  // tables for people
  std::string json;
};

class GPUNN_API Model {
 public:
  // The functional form: what leads from `input` to `output`.
  Model(const Symbolic& input, const Symbolic& output, ModelOptions options = {},
        SourceLocation where = SourceLocation::current());
  Model(const std::vector<Symbolic>& inputs, const std::vector<Symbolic>& outputs, ModelOptions options = {},
        SourceLocation where = SourceLocation::current());
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  virtual ~Model();

  // Chooses how to train. Throws UsageError for settings out of range, ShapeError where the loss or a metric
  // does not fit the output; the model then stays compiled as it was.
  void compile(TrainingOptions options, SourceLocation where = SourceLocation::current());

  // Trains. Throws UsageError before compile(), ShapeError when the data, or batches of the validation data,
  // do not fit the model, DataError for labels out of range and numbers that are not finite, Diverged. After
  // any exception the model is as it was after the last complete step.
  History fit(const DatasetPtr& data, FitOptions options = {},
              SourceLocation where = SourceLocation::current());
  History fit(const Tensor& x, const Tensor& y, FitOptions options = {},
              SourceLocation where = SourceLocation::current());
  // Rows one after the other; the number of samples follows from the model's input.
  History fit(std::span<const float> x, std::span<const float> y, FitOptions options = {},
              SourceLocation where = SourceLocation::current());
  History fit(std::span<const float> x, std::span<const std::int32_t> y, FitOptions options = {},
              SourceLocation where = SourceLocation::current());

  // Averages of loss and metrics.
  Logs evaluate(const DatasetPtr& data, EvaluateOptions options = {},
                SourceLocation where = SourceLocation::current());
  Logs evaluate(const Tensor& x, const Tensor& y, EvaluateOptions options = {},
                SourceLocation where = SourceLocation::current());

  // The (first) output for each row of x.
  Tensor predict(const Tensor& x, PredictOptions options = {},
                 SourceLocation where = SourceLocation::current());
  Tensor predict(std::span<const float> x, PredictOptions options = {},
                 SourceLocation where = SourceLocation::current());
  // All outputs, for models with several inputs or outputs. Targets of the data set are not looked at.
  std::vector<Tensor> predict(const DatasetPtr& data, PredictOptions options = {},
                              SourceLocation where = SourceLocation::current());

  // One step on these samples; the logs are of this batch.
  Logs train_on_batch(const Tensor& x, const Tensor& y, std::optional<Tensor> sample_weight = {},
                      SourceLocation where = SourceLocation::current());

  std::string summary() const;  // Keras's table
  // "train" and "evaluate": after compile().
  StepPlan plan(PlanOptions options = {}, SourceLocation where = SourceLocation::current()) const;
  std::int64_t count_params() const;
  const std::string& name() const;

  // Weights by Keras's names: "dense/kernel". The tensors share the model's memory. On a GPU that is the
  // host's copy, up to date when it is taken: take it anew after training and before writing.
  std::vector<std::string> weight_names() const;
  // Throws UsageError for a name that is not among them.
  Tensor weight(std::string_view name, SourceLocation where = SourceLocation::current()) const;

  double learning_rate() const;
  void set_learning_rate(double rate, SourceLocation where = SourceLocation::current());
  std::int64_t steps() const;  // optimizer steps done
  // Stateful layers start from zeros again. Their state moves with every batch, of evaluate() and predict()
  // too.
  void reset_states();
  void stop_training();  // for callbacks: ends fit() after the current epoch (or group of steps)

  // The architecture, the weights and, after compile(), the training settings and the optimizer's state, in
  // one safetensors file. Throws FileError, and UsageError for a Custom layer; never leaves a partial file.
  void save(const std::filesystem::path& path) const;
  // The weights alone, without the state of stateful layers: to train with batches of 32 and go on with
  // batches of 1, load them into the same layers with another stateful_batch_size.
  void save_weights(const std::filesystem::path& path) const;
  // By name and shape, all or nothing. Throws DataError naming the first that is missing or does not fit.
  void load_weights(const std::filesystem::path& path, SourceLocation where = SourceLocation::current());

  // A model for predict() alone, in another thread if you like, that shares these weights and may outlive the
  // original. On a GPU it has a stream of its own, and may run while the original trains: each of its batches
  // then sees the weights between two steps (or groups of them), whichever was the last. On the cpu it must
  // not: training changes the weights under it. On either, nobody may read or write weight() meanwhile.
  // UsageError for models with stateful layers, whose state clones would share: load a saved copy instead.
  Model clone_for_inference() const;

 protected:
  explicit Model(std::unique_ptr<ModelState> state);
  std::unique_ptr<ModelState> state_;
  friend GPUNN_API Model load_model(const std::filesystem::path& path, ModelOptions options,
                                    SourceLocation where);
};

// A chain of layers; the first is an Input.
class GPUNN_API Sequential final : public Model {
 public:
  Sequential(std::initializer_list<Layer> layers, ModelOptions options = {},
             SourceLocation where = SourceLocation::current());
  Sequential(const std::vector<Layer>& layers, ModelOptions options = {},
             SourceLocation where = SourceLocation::current());
};

// What save() wrote. A name in `options` replaces the saved one, and so does a seed that is not 0; with the
// saved seed fit() goes on to the same bits. Throws FileError, and DataError for a file that is not a saved
// model.
GPUNN_API Model load_model(const std::filesystem::path& path, ModelOptions options = {},
                           SourceLocation where = SourceLocation::current());

}  // namespace gpunn
