// Layers over sequences against Keras on any device, through the public interface alone: outputs, and the
// gradients of inputs, initial states and weights.
//
// The inputs are rows of an embedding, one for each sample and step; steps of padding name row 0, which the
// embedding masks. Initial states are the kernel of a Dense layer on one-hot vectors. The outputs are joined
// to one vector; one step of SGD shows every gradient as the change of a weight, when the mean squared error
// is taken against targets that make its slope the golden cotangent.
//
// What a layer with dropout puts out in training shows in the gradient of a probe, numbers that are added to
// its outputs: the kernel of another Dense layer on one-hot vectors, all zeros.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "gpunn/gpunn.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/sequence_layers.hpp"

namespace gpunn::golden {

inline constexpr double kTolerance = 1e-5;  // of the float32 backends, relative norm
inline constexpr float kRate = 4096;  // large, so that a weight's change is not lost in its own rounding

// Targets that make the slope of the mean squared error at y the cotangent: d(mean((y - t)^2))/dy = 2 (y - t)
// / elements.
inline Tensor target_for(const Tensor& y, const Tensor& cotangent) {
  const Tensor from = y.to(Dtype::f64), slope = cotangent.to(Dtype::f64);
  Tensor target(y.shape());
  const auto half = static_cast<double>(y.elements()) / 2;
  for (std::size_t i = 0; i < target.data<float>().size(); ++i)
    target.data<float>()[i] = static_cast<float>(from.data<double>()[i] - slope.data<double>()[i] * half);
  return target;
}

// What one step of SGD has subtracted from a weight.
inline Tensor gradient_of(const Tensor& before, const Tensor& after) {
  Tensor gradient(before.shape());
  for (std::size_t i = 0; i < gradient.data<float>().size(); ++i)
    gradient.data<float>()[i] = (before.data<float>()[i] - after.data<float>()[i]) / kRate;
  return gradient;
}

struct Kind {
  const char* family;
  std::function<Layer(const json&)> make;
};
inline void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.family;
}
inline const Kind kKinds[] = {{"simple_rnn", simple_rnn},
                              {"gru", gru},
                              {"lstm", lstm},
                              {"bidirectional", bidirectional},
                              {"recurrent_dropout", recurrent_or_bidirectional},
                              {"time_distributed", time_distributed},
                              {"masking", masking}};

inline void copy(const Tensor& from, Tensor to) {
  const auto values = from.data<float>();
  ASSERT_EQ(values.size(), to.data<float>().size());
  std::copy(values.begin(), values.end(), to.data<float>().begin());
}

class SequenceCase {
 public:
  SequenceCase(const Family& family, std::string name, const Kind& kind, std::string device)
      : family_(family),
        name_(std::move(name)),
        device_(std::move(device)),
        inputs_(family.list(name_ + "/input")),
        states_(family.list(name_ + "/initial_state")),
        outputs_(family.list(name_ + "/output")),
        mask_(kind.family == std::string("masking") ? nullptr : family.find(name_ + "/mask")),
        batch_(inputs_.at(0).shape()[0]),
        steps_(inputs_[0].shape()[1]),
        attributes_(family.attributes(name_)),
        layer_(kind.make(attributes_)),
        model_(describe()) {}

  void expect_keras() {
    if (drops()) {
      expect_masks();
      expect_training_output();
      model_ = describe();  // the next step would draw other masks
      set_weights();
    } else {
      set_weights();
      const std::vector<Tensor> got = model_.predict(samples(Tensor({batch_, 1})), {.batch_size = batch_});
      EXPECT_LT(relative_norm(got.at(0), joined(outputs_)), kTolerance) << "output";
    }
    train(target_for(joined(outputs_), joined(family_.list(name_ + "/cotangent"))));
    expect_gradient(inputs_[0], input_rows(), "input");
    for (std::size_t i = 0; i < states_.size(); ++i) {
      const std::string index = std::to_string(i);
      expect_gradient(states_[i], model_.weight("state_" + index + "/kernel"), "initial_state_" + index);
    }
    for (const auto& [part, value] : family_.weights(name_))
      expect_gradient(value, model_.weight("layer/" + part), part);
  }

 private:
  bool drops() const { return attributes_.contains("seed"); }
  std::int64_t width() const { return inputs_[0].elements() / (batch_ * steps_); }

  Model describe() const {
    const Symbolic ids = Input({steps_}, {.dtype = Dtype::i32});
    const Symbolic one_hot = Input({batch_});
    std::vector<Symbolic> fed{
        Embedding(1 + batch_ * steps_, width(), {.mask_zero = mask_ != nullptr, .name = "x"})(ids)};
    const Shape sample = inputs_[0].shape().without_front();
    if (sample.rank() > 2) fed[0] = Reshape({sample.extents().begin(), sample.extents().end()})(fed[0]);
    for (std::size_t i = 0; i < states_.size(); ++i) {
      fed.push_back(
          Dense(states_[i].shape()[1], {.use_bias = false, .name = "state_" + std::to_string(i)})(one_hot));
    }
    std::vector<Symbolic> flat;
    for (const Symbolic& y : layer_.call(fed)) flat.push_back(Reshape({y.shape().elements()})(y));
    Symbolic all = flat.size() == 1 ? flat[0] : Concatenate()(flat);
    if (drops()) {
      const Layer probe = Dense(all.shape().elements(), {.use_bias = false, .name = "probe"});
      all = Add()({all, probe(one_hot)});
    }
    const ModelOptions options{.device = device_, .seed = attributes_.value("seed", std::uint64_t{0})};
    return has_one_hot() ? Model({ids, one_hot}, {all}, options) : Model(ids, all, options);
  }
  bool has_one_hot() const { return drops() || !states_.empty(); }

  void set_weights() {
    copy(inputs_[0], input_rows());
    if (drops()) std::ranges::fill(model_.weight("probe/kernel").data<float>(), 0.0f);
    for (std::size_t i = 0; i < states_.size(); ++i)
      copy(states_[i], model_.weight("state_" + std::to_string(i) + "/kernel"));
    for (const auto& [part, value] : family_.weights(name_)) copy(value, model_.weight("layer/" + part));
  }

  // Row 0 of the table, padding, is no step of the golden input.
  Tensor input_rows() const { return model_.weight("x/embeddings").rows(1, 1 + batch_ * steps_); }

  void train(const Tensor& target) {
    model_.compile({.optimizer = SGD({.learning_rate = kRate}), .loss = MeanSquaredError()});
    model_.fit(samples(target), {.batch_size = batch_, .shuffle = false, .verbose = Verbose::silent});
  }

  // The masks that Keras was given are those of the library's random numbers.
  void expect_masks() const {
    for (const auto& [part, stream] : attributes_["streams"].items()) {
      const float rate = attributes_[part.ends_with("input") ? "dropout" : "recurrent_dropout"];
      const auto mask = family_[name_ + "/dropout:" + part].data<float>();
      const PhiloxKey key{.seed = attributes_["seed"], .stream = stream};
      for (std::size_t i = 0; i < mask.size(); ++i)
        ASSERT_EQ(mask[i], uniform01(key, i) >= rate ? 1 / (1 - rate) : 0.0f) << part << " " << i;
    }
  }

  // With targets of zero the probe's gradient is 2 y / elements.
  void expect_training_output() {
    set_weights();
    const Tensor want = joined(outputs_);
    train(Tensor(want.shape()));
    Tensor got = gradient_of(Tensor(want.shape()), model_.weight("probe/kernel"));
    for (float& y : got.data<float>()) y *= static_cast<float>(want.elements()) / 2;
    EXPECT_LT(relative_norm(got, want), kTolerance) << "output in training";
  }

  bool is_real(std::size_t position) const {
    return mask_ == nullptr || mask_->data<std::uint8_t>()[position] != 0;
  }

  DatasetPtr samples(const Tensor& y) const {
    Tensor ids({batch_, steps_}, Dtype::i32), eye({batch_, batch_});
    for (std::size_t i = 0; i < ids.data<std::int32_t>().size(); ++i)
      ids.data<std::int32_t>()[i] = is_real(i) ? static_cast<std::int32_t>(i) + 1 : 0;
    for (std::int64_t n = 0; n < batch_; ++n) eye.data<float>()[static_cast<std::size_t>(n * batch_ + n)] = 1;
    std::vector<Tensor> inputs{ids};
    if (has_one_hot()) inputs.push_back(eye);
    return std::make_shared<TensorDataset>(TensorDataset::Columns{.inputs = inputs, .targets = {y}});
  }

  // [batch, all outputs of a sample one after the other]
  Tensor joined(const std::vector<Tensor>& parts) const {
    std::int64_t width = 0;
    for (const Tensor& part : parts) width += part.elements() / batch_;
    Tensor all({batch_, width}, Dtype::f64);
    std::int64_t begin = 0;
    for (const Tensor& given : parts) {
      const Tensor part = given.to(Dtype::f64);
      const std::int64_t each = part.elements() / batch_;
      for (std::int64_t i = 0; i < part.elements(); ++i) {
        all.data<double>()[static_cast<std::size_t>(i / each * width + begin + i % each)] =
            part.data<double>()[static_cast<std::size_t>(i)];
      }
      begin += each;
    }
    return all;
  }

  void expect_gradient(const Tensor& before, const Tensor& after, const std::string& part) const {
    const Tensor* want = family_.find(name_ + "/grad:" + part);
    ASSERT_NE(want, nullptr) << part;
    EXPECT_LT(relative_norm(gradient_of(before, after), *want), kTolerance) << "gradient of " << part;
  }

  const Family& family_;
  std::string name_, device_;
  std::vector<Tensor> inputs_, states_, outputs_;
  const Tensor* mask_;
  std::int64_t batch_, steps_;
  json attributes_;
  Layer layer_;
  Model model_;
};

inline void expect_sequences(const Kind& kind, const std::string& device) {
  const Family family(kind.family);
  ASSERT_FALSE(family.cases().empty());
  for (const std::string& name : family.cases()) {
    SCOPED_TRACE(std::string(kind.family) + "/" + name + " on " + device);
    SequenceCase(family, name, kind, device).expect_keras();
  }
}

// Ids of any shape; the gradient of a row that several positions name is their sum.
inline void expect_embeddings(const std::string& device) {
  const Family family("embedding");
  ASSERT_FALSE(family.cases().empty());
  for (const std::string& name : family.cases()) {
    SCOPED_TRACE(name);
    const Tensor &ids = family[name + "/input"], &output = family[name + "/output"];
    const Tensor& before = family[name + "/weight:embeddings"];
    const Symbolic input = Input(ids.shape().without_front(), {.dtype = Dtype::i32});
    Model model(input, Embedding(11, 4, {.name = "layer"})(input), {.device = device});
    copy(before, model.weight("layer/embeddings"));
    EXPECT_LT(relative_norm(model.predict(ids), output), 1e-7);
    model.compile({.optimizer = SGD({.learning_rate = kRate}), .loss = MeanSquaredError()});
    model.train_on_batch(ids, target_for(output, family[name + "/cotangent"]));
    const Tensor gradient = gradient_of(before, model.weight("layer/embeddings"));
    EXPECT_LT(relative_norm(gradient, family[name + "/grad:embeddings"]), kTolerance);
  }
}

}  // namespace gpunn::golden
