// Every layer against Keras, through the public interface alone: its output, and the gradients of its inputs
// and weights.
//
// The inputs are made weights: sample n is the one-hot vector n, and a Dense layer without bias, whose kernel
// holds the golden inputs, turns it into them. One step of SGD then shows every gradient as the change of a
// weight, when the mean squared error is taken against targets that make its slope the golden cotangent.
#include <algorithm>
#include <functional>
#include <ostream>

#include <gtest/gtest.h>

#include "gpunn/gpunn.hpp"
#include "tests/support/golden.hpp"

namespace gpunn {
namespace {

using nlohmann::json;

constexpr double kTolerance = 1e-5;  // of the float32 backends, relative norm
constexpr float kRate =
    4096;  // large, so that the change of a weight is not lost in the weight's own rounding

ActivationFunction activation_of(const json& attributes) {
  const std::string name = attributes.value("activation", "linear");
  for (const auto& [known, function] : {std::pair{"linear", linear},
                                        {"relu", relu},
                                        {"sigmoid", sigmoid},
                                        {"tanh", tanh},
                                        {"softmax", softmax},
                                        {"gelu", gelu}})
    if (name == known) return function;
  throw UsageError("unknown activation " + name);
}

Size2 size_of(const json& pair) {
  return {pair[0].get<std::int64_t>(), pair[1].get<std::int64_t>()};
}

Padding padding_of(const json& a) {
  if (a["padding"] == "explicit")
    return pad(a["pads"][0][0], a["pads"][0][1], a["pads"][1][0], a["pads"][1][1]);
  return a["padding"] == "same" ? same : valid;
}

Layer dense(const json& a) {
  return Dense(a["units"],
               {.activation = activation_of(a), .use_bias = a.value("use_bias", true), .name = "layer"});
}
Layer conv2d(const json& a) {
  return Conv2D(a["filters"], size_of(a["kernel_size"]),
                {.strides = size_of(a["strides"]),
                 .padding = padding_of(a),
                 .dilation_rate = size_of(a["dilation_rate"]),
                 .groups = a["groups"],
                 .activation = activation_of(a),
                 .use_bias = a["use_bias"],
                 .name = "layer"});
}
Layer max_pooling2d(const json& a) {
  return MaxPooling2D(size_of(a["pool_size"]), {.strides = size_of(a["strides"]), .padding = padding_of(a)});
}
Layer average_pooling2d(const json& a) {
  return AveragePooling2D(size_of(a["pool_size"]),
                          {.strides = size_of(a["strides"]), .padding = padding_of(a)});
}
Layer global_pooling2d(const json& a) {
  const GlobalPooling2DOptions options{.keepdims = a.value("keepdims", false)};
  return a["kind"] == "max" ? GlobalMaxPooling2D(options) : GlobalAveragePooling2D(options);
}
Layer batch_normalization(const json& a) {
  return BatchNormalization({.momentum = a["momentum"],
                             .epsilon = a["epsilon"],
                             .center = a["center"],
                             .scale = a["scale"],
                             .name = "layer"});
}

Layer conv1d(const json& a) {
  const std::string padding = a["padding"];
  return Conv1D(a["filters"], a["kernel_size"],
                {.strides = a["strides"],
                 .padding = padding == "causal" ? causal
                            : padding == "same" ? same
                                                : valid,
                 .dilation_rate = a["dilation_rate"],
                 .groups = a["groups"],
                 .activation = activation_of(a),
                 .use_bias = a["use_bias"],
                 .name = "layer"});
}
Layer pooling1d(const json& a) {
  if (a["kind"] == "global_max") return GlobalMaxPooling1D();
  if (a["kind"] == "global_average") return GlobalAveragePooling1D();
  const Pooling1DOptions options{.strides = a["strides"], .padding = a["padding"] == "same" ? same : valid};
  return a["kind"] == "max" ? MaxPooling1D(a["pool_size"], options)
                            : AveragePooling1D(a["pool_size"], options);
}

struct Kind {
  const char* family;
  std::function<Layer(const json&)> make;
};
void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.family;
}

const Kind kKinds[] = {
    {"dense", dense},
    {"conv2d", conv2d},
    {"max_pooling2d", max_pooling2d},
    {"average_pooling2d", average_pooling2d},
    {"global_pooling2d", global_pooling2d},
    {"batch_normalization", batch_normalization},
    {"conv1d", conv1d},
    {"pooling1d", pooling1d},
    {"add", [](const json&) { return Add(); }},
    {"multiply", [](const json&) { return Multiply(); }},
    {"concatenate", [](const json& a) { return Concatenate({.axis = a["axis"]}); }},
    {"activation", [](const json& a) { return Activation(activation_of(a)); }},
    {"rescaling", [](const json& a) { return Rescaling(a["scale"], a["offset"]); }},
};

class GoldenLayers : public ::testing::TestWithParam<Kind> {};

void copy(const Tensor& from, Tensor to) {
  const auto values = from.data<float>();
  std::copy(values.begin(), values.end(), to.data<float>().begin());
}

// The layer under test, fed by a Dense "input_0", "input_1", ... for each golden input.
Model make_model(const Layer& layer, const std::vector<Tensor>& inputs, bool masked) {
  const std::int64_t batch = inputs[0].shape()[0];
  const Symbolic one_hot = Input({batch});
  std::vector<Symbolic> fed;
  for (const Tensor& input : inputs) {
    const std::string name = "input_" + std::to_string(fed.size());
    const Symbolic flat = Dense(input.elements() / batch, {.use_bias = false, .name = name})(one_hot);
    const Shape sample = input.shape().without_front();
    fed.push_back(Reshape({sample.extents().begin(), sample.extents().end()})(flat));
    if (masked) fed.back() = Masking()(fed.back());
  }
  return Model(one_hot, fed.size() == 1 ? layer(fed[0]) : layer(fed));
}

// What a Masking layer takes for padding: zeros in the steps that the mask leaves out.
Tensor zeroed(const Tensor& x, const Tensor& mask) {
  Tensor result = x.clone();
  const auto features = static_cast<std::size_t>(x.shape()[2]);
  for (std::size_t step = 0; step < mask.data<std::uint8_t>().size(); ++step) {
    if (mask.data<std::uint8_t>()[step] == 0)
      std::ranges::fill(result.data<float>().subspan(step * features, features), 0.0f);
  }
  return result;
}

Tensor identity(std::int64_t n) {
  Tensor eye({n, n});
  for (std::int64_t i = 0; i < n; ++i) eye.data<float>()[static_cast<std::size_t>(i * n + i)] = 1;
  return eye;
}

void expect_golden(const golden::Family& family, const std::string& name, const Layer& layer) {
  SCOPED_TRACE(name);
  auto inputs = family.list(name + "/input");
  const auto weights = family.weights(name);
  const bool training = family.attributes(name).value("training", true);
  const Tensor* mask = family.find(name + "/mask");
  if (mask != nullptr) inputs.at(0) = zeroed(inputs[0], *mask);
  Model model = make_model(layer, inputs, mask != nullptr);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    copy(inputs[i], model.weight("input_" + std::to_string(i) + "/kernel"));
  for (const auto& [part, value] : weights) copy(value, model.weight("layer/" + part));

  const Tensor eye = identity(inputs[0].shape()[0]);
  const Tensor& output = family[name + "/output"];
  const bool normalizes_batch = family.find(name + "/state:moving_mean") != nullptr && training;
  if (!normalizes_batch) {
    EXPECT_LT(golden::relative_norm(model.predict(eye), output), kTolerance) << "output";
  }
  if (!training) return;  // the gradients of inference are not asked for in training

  // d(mean((y - t)^2))/dy = 2 (y - t) / elements, so t = y - cotangent * elements / 2.
  const auto y = output.data<double>();
  const auto cotangent = family[name + "/cotangent"].data<float>();
  Tensor target(output.shape());
  for (std::size_t i = 0; i < y.size(); ++i)
    target.data<float>()[i] = static_cast<float>(y[i] - cotangent[i] * static_cast<double>(y.size()) / 2);
  model.compile({.optimizer = SGD({.learning_rate = kRate}), .loss = MeanSquaredError()});
  model.train_on_batch(eye, target);

  const auto expect_gradient = [&](const Tensor& before, const std::string& weight, const std::string& part) {
    const Tensor* want = family.find(name + "/grad:" + part);
    ASSERT_NE(want, nullptr) << part;
    Tensor gradient(before.shape());
    for (std::size_t i = 0; i < gradient.data<float>().size(); ++i)
      gradient.data<float>()[i] = (before.data<float>()[i] - model.weight(weight).data<float>()[i]) / kRate;
    EXPECT_LT(golden::relative_norm(gradient, *want), kTolerance) << "gradient of " << part;
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string index = std::to_string(i);
    expect_gradient(inputs[i], "input_" + index + "/kernel", inputs.size() == 1 ? "input" : "input_" + index);
  }
  for (const auto& [part, value] : weights) {
    if (const Tensor* moved = family.find(name + "/state:" + part)) {
      EXPECT_LT(golden::relative_norm(model.weight("layer/" + part), *moved), kTolerance) << part;
    } else {
      expect_gradient(value, "layer/" + part, part);
    }
  }
}

TEST_P(GoldenLayers, OutputsAndGradientsAreKeras) {
  const golden::Family family(GetParam().family);
  ASSERT_FALSE(family.cases().empty());
  for (const std::string& name : family.cases())
    expect_golden(family, name, GetParam().make(family.attributes(name)));
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenLayers, ::testing::ValuesIn(kKinds),
                         [](const auto& info) { return info.param.family; });

}  // namespace
}  // namespace gpunn
