// One step of a model for one batch size: its graph, and the executables made of such graphs.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "gpunn/model.hpp"
#include "src/graph/compile.hpp"
#include "src/nn/network.hpp"

namespace gpunn::train {

// How an input or label arrives: rows of this shape. Bytes (u8) are multiplied by `scale`.
struct FieldFormat {
  Shape shape;
  Dtype dtype = Dtype::f32;
  float scale = 1;
  friend bool operator==(const FieldFormat&, const FieldFormat&) = default;
};

// What a step is planned for. Its graph's inputs are the model's inputs, then the labels and the weights.
struct StepKey {
  nn::Mode mode = nn::Mode::predict;
  std::int64_t batch = 0;
  std::vector<FieldFormat> inputs;
  std::vector<FieldFormat> labels;  // none in predict mode
  bool weighted = false;
  friend bool operator==(const StepKey&, const StepKey&) = default;
};

// The whole step. Result k is a (sum, weight) pair: the loss, then the metrics; in predict mode the outputs
// are outputs 0, 1, ... Throws ShapeError where data, network and loss do not fit.
Graph build_step(const nn::Network& network, const VariableStore& store, const TrainingOptions* training,
                 const StepKey& key, std::string_view device);

// Throws UsageError for settings out of range and ShapeError where loss, metrics and network do not fit:
// whatever build_step() refuses of a training step, before there is data. `where` is the line of compile().
void check_training(const TrainingOptions& training, const nn::Network& network, const VariableStore& store,
                    SourceLocation where);

// The executables used last. Training, evaluation, a short last batch and each bucket of sequences need one
// each: room for both of seven buckets.
class StepCache {
 public:
  static constexpr std::size_t kCapacity = 28;

  // Null when there is none.
  Executable* find(const StepKey& key);
  Executable& add(StepKey key, std::unique_ptr<Executable> executable);
  void clear() { entries_.clear(); }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    StepKey key;
    std::unique_ptr<Executable> executable;
  };
  std::list<Entry> entries_;  // the one used last comes first
};

}  // namespace gpunn::train
