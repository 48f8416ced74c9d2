// Stateful recurrent layers against Keras on any device: tests/golden/stateful.py. The inputs are rows of an
// embedding, as in sequences_golden.hpp; the outputs are flat, so that the loss knows nothing of masks.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "gpunn/gpunn.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/sequence_layers.hpp"
#include "tests/support/sequences_golden.hpp"

namespace gpunn::golden {

class StatefulCase {
 public:
  StatefulCase(const Family& family, std::string name, const std::string& device)
      : family_(family),
        name_(std::move(name)),
        inputs_(family.list(name_ + "/input")),
        outputs_(family.list(name_ + "/output")),
        masks_(family.list(name_ + "/mask")),
        batch_(inputs_.at(0).shape()[0]),
        steps_(inputs_[0].shape()[1]),
        model_(describe(device)) {
    model_.compile({.optimizer = SGD({.learning_rate = kRate}), .loss = MeanSquaredError()});
  }

  // The second batch is a step of training, which moves the state as prediction does.
  void expect_keras() {
    set_weights();
    expect_output(0, outputs_.at(0), "the first batch");
    model_.train_on_batch(ids(1), flat_target());
    expect_gradients();
    set_weights();
    expect_output(2, outputs_.at(2), "the third batch");
    for (const std::string& weight : model_.weight_names()) {
      if (weight.find("state_") == std::string::npos) continue;
      const Tensor& want = family_[name_ + "/last_state:" + weight.substr(weight.find('/') + 1)];
      EXPECT_LT(relative_norm(model_.weight(weight), want), kTolerance) << weight;
    }
    model_.reset_states();
    expect_output(0, outputs_.at(0), "the first batch, after a reset");
  }

 private:
  Model describe(const std::string& device) const {
    const Symbolic x = Input({steps_}, {.dtype = Dtype::i32});
    const auto rows = 1 + static_cast<std::int64_t>(inputs_.size()) * batch_ * steps_;
    const Layer table = Embedding(rows, inputs_[0].shape()[2], {.mask_zero = !masks_.empty(), .name = "x"});
    const Symbolic y = recurrent_or_bidirectional(family_.attributes(name_))(table(x));
    return Model(x, Reshape({y.shape().elements()})(y), {.device = device});
  }

  Tensor rows(std::size_t number) const {
    const std::int64_t each = batch_ * steps_, first = 1 + static_cast<std::int64_t>(number) * each;
    return model_.weight("x/embeddings").rows(first, first + each);
  }

  void set_weights() {
    for (std::size_t number = 0; number < inputs_.size(); ++number) copy(inputs_[number], rows(number));
    for (const auto& [part, value] : family_.weights(name_)) copy(value, model_.weight("layer/" + part));
  }

  Tensor ids(std::size_t number) const {
    Tensor ids({batch_, steps_}, Dtype::i32);
    const auto values = ids.data<std::int32_t>();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool real = masks_.empty() || masks_[number].data<std::uint8_t>()[i] != 0;
      values[i] = real ? static_cast<std::int32_t>(1 + number * values.size() + i) : 0;
    }
    return ids;
  }

  void expect_output(std::size_t number, const Tensor& want, const char* what) {
    EXPECT_LT(relative_norm(model_.predict(ids(number)), want), kTolerance) << "output of " << what;
  }

  Tensor flat_target() const {
    const Tensor target = target_for(outputs_.at(1), family_[name_ + "/cotangent"]);
    return target.reshape({batch_, target.elements() / batch_});
  }

  void expect_gradients() {
    EXPECT_LT(relative_norm(gradient_of(inputs_[1], rows(1)), family_[name_ + "/grad:input"]), kTolerance);
    for (const auto& [part, value] : family_.weights(name_)) {
      const Tensor gradient = gradient_of(value, model_.weight("layer/" + part));
      EXPECT_LT(relative_norm(gradient, family_[name_ + "/grad:" + part]), kTolerance) << part;
    }
  }

  const Family& family_;
  std::string name_;
  std::vector<Tensor> inputs_, outputs_, masks_;
  std::int64_t batch_, steps_;
  Model model_;
};

inline void expect_stateful(const std::string& device) {
  const Family family("stateful");
  ASSERT_FALSE(family.cases().empty());
  for (const std::string& name : family.cases()) {
    SCOPED_TRACE("stateful/" + name + " on " + device);
    StatefulCase(family, name, device).expect_keras();
  }
}

}  // namespace gpunn::golden
