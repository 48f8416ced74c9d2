// What Keras's layers compute, by the ops that they are made of.
#include "golden_check.hpp"
#include "src/ops/activation.hpp"
#include "src/ops/affine.hpp"
#include "src/ops/batch_norm.hpp"
#include "src/ops/binary.hpp"
#include "src/ops/concatenate.hpp"
#include "src/ops/conv2d.hpp"
#include "src/ops/dense.hpp"
#include "src/ops/global_pool2d.hpp"
#include "src/ops/pool2d.hpp"

namespace gpunn::testing {
namespace {

using nlohmann::json;

ValueId activate(Graph& graph, ValueId x, const std::string& name) {
  if (name == "linear") return x;
  if (name == "softmax") return graph.emit1("softmax", {x});
  for (const auto kind :
       {ops::Activation::relu, ops::Activation::sigmoid, ops::Activation::tanh, ops::Activation::gelu}) {
    if (name == to_string(kind)) return graph.emit1("activation", {x}, ops::ActivationAttrs{kind});
  }
  ADD_FAILURE() << "no activation " << name;
  return x;
}

ops::Size2d size_of_json(const json& pair) {
  return {pair[0].get<std::int64_t>(), pair[1].get<std::int64_t>()};
}

ops::Padding2d padding_of(const json& attributes, const Shape& x, const ops::Window2d& window) {
  const std::string padding = attributes["padding"];
  if (padding == "same") {
    return ops::same_padding({x[1], x[2]}, window.size, window.strides, window.dilation);
  }
  if (padding == "valid") return {};
  const json& pads = attributes["pads"];
  return {.top = pads[0][0], .bottom = pads[0][1], .left = pads[1][0], .right = pads[1][1]};
}

TEST(GoldenLayers, Dense) {
  const golden::Family family("dense");
  for_each_golden_case(family, [&](const std::string& name, const json& attributes) {
    GoldenCheck golden(family, name);
    golden.check.terms = 80;
    const ValueId x = golden.batched("input"), w = golden.constant("weight:kernel"),
                  b = golden.constant("weight:bias");
    const ValueId z = golden.graph().emit1("dense", {x, w, b}, ops::DenseAttrs{});
    const ValueId y = activate(golden.graph(), z, attributes.value("activation", "linear"));
    golden.differentiate(y);
    golden.compare({{"output", y},
                    {"grad:input", golden.gradient(x)},
                    {"grad:kernel", golden.gradient(w)},
                    {"grad:bias", golden.gradient(b)}});
  });
}

TEST(GoldenLayers, Conv2d) {
  const golden::Family family("conv2d");
  for_each_golden_case(family, [&](const std::string& name, const json& attributes) {
    GoldenCheck golden(family, name);
    golden.check.terms = 300;
    const ValueId x = golden.batched("input"), w = golden.constant("weight:kernel"),
                  b = golden.constant("weight:bias");
    const Shape kernel = golden.graph().spec(w).shape;
    const ops::Window2d window{.size = {kernel[0], kernel[1]},
                               .strides = size_of_json(attributes["strides"]),
                               .dilation = size_of_json(attributes["dilation_rate"])};
    const ops::Conv2dAttrs attrs{.strides = window.strides,
                                 .padding = padding_of(attributes, golden.graph().spec(x).shape, window),
                                 .dilation = window.dilation,
                                 .groups = attributes["groups"]};
    const ValueId z = golden.graph().emit1("conv2d", {x, w, b}, attrs);
    const ValueId y = activate(golden.graph(), z, attributes["activation"]);
    golden.differentiate(y);
    golden.compare({{"output", y},
                    {"grad:input", golden.gradient(x)},
                    {"grad:kernel", golden.gradient(w)},
                    {"grad:bias", golden.gradient(b)}});
  });
}

TEST(GoldenLayers, Pooling2d) {
  for (const std::string kind : {"max", "average"}) {
    const golden::Family family(kind + "_pooling2d");
    for_each_golden_case(family, [&](const std::string& name, const json& attributes) {
      GoldenCheck golden(family, name);
      golden.check.terms = 9;
      const ValueId x = golden.batched("input");
      const ops::Window2d window{.size = size_of_json(attributes["pool_size"]),
                                 .strides = size_of_json(attributes["strides"])};
      const ValueId y = golden.graph().emit(
          kind + "_pool2d", {x},
          ops::Pool2dAttrs{.window = window.size,
                           .strides = window.strides,
                           .padding = padding_of(attributes, golden.graph().spec(x).shape, window)})[0];
      golden.differentiate(y);
      golden.compare({{"output", y}, {"grad:input", golden.gradient(x)}});
    });
  }
}

TEST(GoldenLayers, GlobalPooling2d) {
  const golden::Family family("global_pooling2d");
  for_each_golden_case(family, [&](const std::string& name, const json& attributes) {
    GoldenCheck golden(family, name);
    golden.check.terms = 20;
    const ValueId x = golden.batched("input");
    const std::string op = "global_" + attributes["kind"].get<std::string>() + "_pool2d";
    const ValueId y =
        golden.graph().emit(op, {x}, ops::GlobalPool2dAttrs{attributes.value("keepdims", false)})[0];
    golden.differentiate(y);
    golden.compare({{"output", y}, {"grad:input", golden.gradient(x)}});
  });
}

TEST(GoldenLayers, BatchNormalization) {
  const golden::Family family("batch_normalization");
  for_each_golden_case(family, [&](const std::string& name, const json& attributes) {
    GoldenCheck golden(family, name);
    golden.check.terms = 2000;
    Graph& graph = golden.graph();
    const ValueId x = golden.batched("input"), gamma = golden.constant("weight:gamma"),
                  beta = golden.constant("weight:beta"), moving_mean = golden.constant("weight:moving_mean"),
                  moving_variance = golden.constant("weight:moving_variance");
    ValueId mean = moving_mean, variance = moving_variance;
    if (attributes["training"].get<bool>()) {
      mean = graph.emit1("batch_norm_mean", {x});
      variance = graph.emit1("batch_norm_variance", {x, mean});
    }
    const ValueId y = graph.emit1("batch_norm", {x, mean, variance, gamma, beta},
                                  ops::BatchNormAttrs{attributes["epsilon"].get<float>()});
    golden.differentiate(y);
    std::vector<std::pair<std::string, ValueId>> wanted = {{"output", y},
                                                           {"grad:input", golden.gradient(x)},
                                                           {"grad:gamma", golden.gradient(gamma)},
                                                           {"grad:beta", golden.gradient(beta)}};
    if (mean != moving_mean) {
      graph.emit("batch_norm_update", {moving_mean, moving_variance, mean, variance},
                 ops::BatchNormUpdateAttrs{attributes["momentum"].get<float>()});
      wanted.insert(wanted.end(),
                    {{"state:moving_mean", moving_mean}, {"state:moving_variance", moving_variance}});
    }
    golden.compare(wanted);
  });
}

TEST(GoldenLayers, AddAndMultiply) {
  for (const auto& [layer, kind] :
       {std::pair{"add", ops::Binary::add}, {"multiply", ops::Binary::multiply}}) {
    const golden::Family family(layer);
    for_each_golden_case(family, [&](const std::string& name, const json&) {
      GoldenCheck golden(family, name);
      golden.check.terms = 120;
      std::vector<std::pair<std::string, ValueId>> inputs;
      for (int k = 0;; ++k) {
        const std::string number = std::to_string(k);
        if (family.find(name + "/input:" + number) == nullptr) break;
        inputs.emplace_back("grad:input_" + number, golden.batched("input:" + number));
      }
      ValueId y = inputs.at(0).second;
      for (std::size_t k = 1; k < inputs.size(); ++k) {
        y = golden.graph().emit1("binary", {y, inputs[k].second}, ops::BinaryAttrs{kind});
      }
      golden.differentiate(y);
      for (auto& [kind_of_tensor, id] : inputs) id = golden.gradient(id);
      inputs.emplace_back("output", y);
      golden.compare(inputs);
    });
  }
}

TEST(GoldenLayers, Concatenate) {
  const golden::Family family("concatenate");
  for_each_golden_case(family, [&](const std::string& name, const json& attributes) {
    GoldenCheck golden(family, name);
    ValueIds inputs;
    while (family.find(name + "/input:" + std::to_string(inputs.size())) != nullptr) {
      inputs.push_back(golden.batched("input:" + std::to_string(inputs.size())));
    }
    const ValueId y =
        golden.graph().emit1("concatenate", inputs, ops::ConcatenateAttrs{attributes["axis"].get<int>()});
    golden.differentiate(y);
    std::vector<std::pair<std::string, ValueId>> wanted = {{"output", y}};
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      wanted.emplace_back("grad:input_" + std::to_string(k), golden.gradient(inputs[k]));
    }
    golden.compare(wanted);
  });
}

TEST(GoldenLayers, ActivationAndRescaling) {
  const golden::Family activations("activation"), rescaling("rescaling");
  for_each_golden_case(activations, [&](const std::string& name, const json& attributes) {
    if (attributes["activation"] == "linear") return;  // emits no op
    GoldenCheck golden(activations, name);
    golden.check.terms = 64;
    const ValueId x = golden.batched("input");
    const ValueId y = activate(golden.graph(), x, attributes["activation"]);
    golden.differentiate(y);
    golden.compare({{"output", y}, {"grad:input", golden.gradient(x)}});
  });
  for_each_golden_case(rescaling, [&](const std::string& name, const json& attributes) {
    GoldenCheck golden(rescaling, name);
    golden.check.terms = 4;
    const ValueId x = golden.batched("input");
    const ValueId y = golden.graph().emit1(
        "affine", {x}, ops::AffineAttrs{attributes["scale"].get<float>(), attributes["offset"].get<float>()});
    golden.differentiate(y);
    golden.compare({{"output", y}, {"grad:input", golden.gradient(x)}});
  });
}

}  // namespace
}  // namespace gpunn::testing
