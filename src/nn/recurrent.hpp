// Recurrent layers as one description, for the three public layers and for what wraps them.
#pragma once

#include "src/nn/layer.hpp"
#include "src/ops/recurrent.hpp"

namespace gpunn::nn {

// The options of GRU and LSTM together; a SimpleRNN has no recurrent activation.
struct RecurrentOptions {
  ops::RecurrentCell cell = ops::RecurrentCell::gru;
  ActivationFunction activation = tanh;
  ActivationFunction recurrent_activation = sigmoid;
  bool use_bias = true;
  Initializer kernel_initializer = glorot_uniform;
  Initializer recurrent_initializer = orthogonal();
  Initializer bias_initializer = zeros;
  bool unit_forget_bias = false;
  double dropout = 0, recurrent_dropout = 0;
  bool return_sequences = false, return_state = false, go_backwards = false;
  bool stateful = false;
  std::int64_t stateful_batch_size = 0;
  std::string name = {};
};

class RecurrentLayer final : public LayerDefinition {
 public:
  RecurrentLayer(std::int64_t units, RecurrentOptions options, SourceLocation where);

  std::string_view type() const override;
  bool takes(std::size_t inputs) const override { return inputs == 1 || inputs == 1 + states(); }
  MaskUse mask_use() const override { return options_.return_sequences ? MaskUse::pass : MaskUse::take; }
  std::int64_t batch_size() const override { return options_.stateful ? options_.stateful_batch_size : 0; }
  VariableSpecs variables(const Specs& x) const override;
  ValueId emit(const Emission& e) const override { return emit_all(e)[0]; }
  ValueIds emit_all(const Emission& e) const override;
  Json config() const override;

  std::size_t variable_count() const {
    return 2 + (options_.use_bias ? 1 : 0) + (options_.stateful ? states() : 0);
  }
  std::int64_t units() const { return units_; }
  const RecurrentOptions& options() const { return options_; }
  std::size_t states() const { return options_.cell == ops::RecurrentCell::lstm ? 2 : 1; }

 private:
  ops::RecurrentAttrs attributes(Mode mode) const;
  void emit_initial_states(const Emission& e, ValueIds& inputs) const;
  void emit_dropout(const Emission& e, ValueIds& inputs) const;

  std::int64_t units_;
  RecurrentOptions options_;
};

}  // namespace gpunn::nn
