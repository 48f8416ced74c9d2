// Layers over sequences against Keras on any device, through the public interface alone: outputs, and the
// gradients of inputs, initial states and weights.
//
// The inputs are rows of an embedding, one for each sample and step; steps of padding name row 0, which the
// embedding masks. Initial states are the kernel of a Dense layer on one-hot vectors. The outputs are joined
// to one vector; one step of SGD shows every gradient as the change of a weight, when the mean squared error
// is taken against targets that make its slope the golden cotangent.
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

namespace gpunn::golden {

using nlohmann::json;

inline constexpr double kTolerance = 1e-5;  // of the float32 backends, relative norm
inline constexpr float kRate = 4096;  // large, so that a weight's change is not lost in its own rounding

inline ActivationFunction activation_of(const json& a, const char* key, ActivationFunction otherwise) {
  if (!a.contains(key)) return otherwise;
  for (const auto& [known, function] :
       {std::pair{"linear", linear}, {"relu", relu}, {"sigmoid", sigmoid}, {"tanh", tanh}, {"gelu", gelu}})
    if (a[key] == known) return function;
  throw UsageError("unknown activation");
}

template <class Options>
Options options_of(const json& a) {
  Options o;
  o.activation = activation_of(a, "activation", tanh);
  o.use_bias = a.value("use_bias", true);
  o.return_sequences = a.value("return_sequences", false);
  o.return_state = a.value("return_state", false);
  o.go_backwards = a.value("go_backwards", false);
  o.name = "layer";
  return o;
}

inline Layer simple_rnn(const json& a) {
  return SimpleRNN(a["units"], options_of<SimpleRNNOptions>(a));
}
inline Layer gru(const json& a) {
  auto options = options_of<GRUOptions>(a);
  options.recurrent_activation = activation_of(a, "recurrent_activation", sigmoid);
  options.reset_after = a.value("reset_after", true);
  return GRU(a["units"], options);
}
inline Layer lstm(const json& a) {
  auto options = options_of<LSTMOptions>(a);
  options.recurrent_activation = activation_of(a, "recurrent_activation", sigmoid);
  return LSTM(a["units"], options);
}
inline Layer bidirectional(const json& a) {
  BidirectionalOptions options{.name = "layer"};
  const std::pair<const char*, MergeMode> modes[] = {{"concat", MergeMode::concat},
                                                     {"sum", MergeMode::sum},
                                                     {"mul", MergeMode::mul},
                                                     {"ave", MergeMode::ave}};
  const json mode = a.value("merge_mode", json("concat"));
  options.merge_mode = MergeMode::none;
  for (const auto& [name, merge] : modes) {
    if (mode == name) options.merge_mode = merge;
  }
  if (a.contains("backward_layer")) {
    json second = a;
    second["activation"] = a["backward_layer"]["activation"];
    second["go_backwards"] = true;
    options.backward_layer = lstm(second);
  }
  const json inner = a["layer"];
  return Bidirectional(inner == "lstm" ? lstm(a) : inner == "gru" ? gru(a) : simple_rnn(a), options);
}
inline Layer time_distributed(const json& a) {
  return TimeDistributed(Dense(a["units"], {.activation = activation_of(a, "activation", linear)}),
                         {.name = "layer"});
}
inline Layer masking(const json& a) {
  return Masking({.mask_value = a["mask_value"], .name = "layer"});
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
        model_(describe(kind.make(family.attributes(name_)))) {}

  void expect_keras() {
    set_weights();
    const auto data = samples(Tensor({batch_, 1}));
    const std::vector<Tensor> got = model_.predict(data, {.batch_size = batch_});
    EXPECT_LT(relative_norm(got.at(0), joined(outputs_, Dtype::f64)), kTolerance) << "output";

    model_.compile({.optimizer = SGD({.learning_rate = kRate}), .loss = MeanSquaredError()});
    model_.fit(samples(target()), {.batch_size = batch_, .shuffle = false, .verbose = Verbose::silent});
    expect_input_gradient();
    for (std::size_t i = 0; i < states_.size(); ++i) {
      const std::string index = std::to_string(i);
      expect_gradient(states_[i], "state_" + index + "/kernel", "initial_state_" + index);
    }
    for (const auto& [part, value] : family_.weights(name_)) expect_gradient(value, "layer/" + part, part);
  }

 private:
  Model describe(const Layer& layer) const {
    const Shape row{inputs_[0].shape()[2]};
    const Symbolic ids = Input({steps_}, {.dtype = Dtype::i32});
    const Symbolic one_hot = Input({batch_});
    std::vector<Symbolic> fed{
        Embedding(1 + batch_ * steps_, row[0], {.mask_zero = mask_ != nullptr, .name = "x"})(ids)};
    for (std::size_t i = 0; i < states_.size(); ++i) {
      fed.push_back(
          Dense(states_[i].shape()[1], {.use_bias = false, .name = "state_" + std::to_string(i)})(one_hot));
    }
    std::vector<Symbolic> flat;
    for (const Symbolic& y : layer.call(fed)) flat.push_back(Reshape({y.shape().elements()})(y));
    const Symbolic all = flat.size() == 1 ? flat[0] : Concatenate()(flat);
    return states_.empty() ? Model(ids, all, {.device = device_})
                           : Model({ids, one_hot}, {all}, {.device = device_});
  }

  void set_weights() {
    const auto x = inputs_[0].data<float>();
    const std::int64_t width = inputs_[0].shape()[2];
    Tensor table = model_.weight("x/embeddings");
    std::copy(x.begin(), x.end(), table.data<float>().begin() + width);
    for (std::size_t i = 0; i < states_.size(); ++i)
      copy(states_[i], model_.weight("state_" + std::to_string(i) + "/kernel"));
    for (const auto& [part, value] : family_.weights(name_)) copy(value, model_.weight("layer/" + part));
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
    if (!states_.empty()) inputs.push_back(eye);
    return std::make_shared<TensorDataset>(TensorDataset::Columns{.inputs = inputs, .targets = {y}});
  }

  // [batch, all outputs of a sample one after the other]
  Tensor joined(const std::vector<Tensor>& parts, Dtype dtype) const {
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
    return all.to(dtype);
  }

  // d(mean((y - t)^2))/dy = 2 (y - t) / elements, so t = y - cotangent * elements / 2.
  Tensor target() const {
    const Tensor y = joined(outputs_, Dtype::f64);
    const Tensor cotangent = joined(family_.list(name_ + "/cotangent"), Dtype::f64);
    Tensor t(y.shape());
    const auto size = static_cast<double>(y.elements());
    for (std::size_t i = 0; i < t.data<float>().size(); ++i)
      t.data<float>()[i] = static_cast<float>(y.data<double>()[i] - cotangent.data<double>()[i] * size / 2);
    return t;
  }

  void expect_gradient(const Tensor& before, const std::string& weight, const std::string& part) {
    const Tensor* want = family_.find(name_ + "/grad:" + part);
    ASSERT_NE(want, nullptr) << part;
    Tensor gradient(before.shape());
    for (std::size_t i = 0; i < gradient.data<float>().size(); ++i)
      gradient.data<float>()[i] = (before.data<float>()[i] - model_.weight(weight).data<float>()[i]) / kRate;
    EXPECT_LT(relative_norm(gradient, *want), kTolerance) << "gradient of " << part;
  }

  // Row 0 of the table, padding, is no step of the golden input.
  void expect_input_gradient() {
    const Tensor* want = family_.find(name_ + "/grad:input");
    ASSERT_NE(want, nullptr);
    const Tensor& x = inputs_[0];
    Tensor gradient(x.shape());
    const auto rows =
        model_.weight("x/embeddings").data<float>().subspan(static_cast<std::size_t>(x.shape()[2]));
    for (std::size_t i = 0; i < gradient.data<float>().size(); ++i)
      gradient.data<float>()[i] = (x.data<float>()[i] - rows[i]) / kRate;
    EXPECT_LT(relative_norm(gradient, *want), kTolerance) << "gradient of the input";
  }

  const Family& family_;
  std::string name_, device_;
  std::vector<Tensor> inputs_, states_, outputs_;
  const Tensor* mask_;
  std::int64_t batch_, steps_;
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
    const auto y = output.data<double>();
    const auto cotangent = family[name + "/cotangent"].data<float>();
    Tensor target(output.shape()), gradient(before.shape());
    for (std::size_t i = 0; i < y.size(); ++i)
      target.data<float>()[i] = static_cast<float>(y[i] - cotangent[i] * static_cast<double>(y.size()) / 2);
    model.train_on_batch(ids, target);
    for (std::size_t i = 0; i < gradient.data<float>().size(); ++i) {
      gradient.data<float>()[i] =
          (before.data<float>()[i] - model.weight("layer/embeddings").data<float>()[i]) / kRate;
    }
    EXPECT_LT(relative_norm(gradient, family[name + "/grad:embeddings"]), kTolerance);
  }
}

}  // namespace gpunn::golden
