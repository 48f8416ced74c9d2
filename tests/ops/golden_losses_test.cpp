// What Keras's losses and optimizers compute, by the ops that they are made of.
#include <set>

#include "golden_check.hpp"
#include "src/ops/adam.hpp"
#include "src/ops/global_norm.hpp"
#include "src/ops/sgd.hpp"

namespace gpunn::testing {
namespace {

using nlohmann::json;

// (sum, rows) as Keras's sum_over_batch_size.
double mean_of(const std::vector<double>& pair) {
  return pair[0] / pair[1];
}

void check_losses(const std::string& family_name, const std::string& on_logits,
                  const std::string& otherwise) {
  SCOPED_TRACE(family_name);
  const golden::Family family(family_name);
  for_each_golden_case(family, [&](const std::string& name, const json& attributes) {
    GoldenCheck golden(family, name);
    Check& check = golden.check;
    check.terms = 128;
    check.mostly_zero = true;
    const ValueId predictions = golden.batched("input");
    const Tensor& target = family[name + "/target"];
    Operand labels =
        given(target.shape(), values_of(target), target.dtype() == Dtype::i32 ? Dtype::i32 : Dtype::f32);
    const double smoothing = attributes.value("label_smoothing", 0.0);
    const double evenly =
        family_name == "binary_crossentropy" ? 0.5 : 1.0 / static_cast<double>(target.shape()[-1]);
    if (smoothing != 0) {
      for (double& label : labels.values) label = label * (1 - smoothing) + smoothing * evenly;
    }
    const bool logits = attributes.value("from_logits", false);
    // Near certainty the clip in float leaves 1 - p a part in a hundred off.
    if (name.starts_with("edges") && !logits) check.terms = 1e10;
    const ValueId loss =
        check.graph.emit(logits ? on_logits : otherwise,
                         {predictions, check.input(labels), golden.batched("sample_weight")})[0];
    const ValueId gradient = gradients(check.graph, {loss}, {predictions})[0];
    if (family.find(name + "/grad:input") != nullptr) {
      golden.compare({{"grad:input", gradient}});
    } else {
      check.run();  // at the edge of the clip there is no gradient to agree on
    }
    EXPECT_NEAR(mean_of(check.reference(loss)) / values_of(family[name + "/output"])[0], 1, 1e-6);
  });
}

TEST(GoldenLosses, EveryForm) {
  check_losses("sparse_categorical_crossentropy", "softmax_cross_entropy", "cross_entropy");
  check_losses("categorical_crossentropy", "softmax_cross_entropy", "cross_entropy");
  check_losses("binary_crossentropy", "sigmoid_cross_entropy", "binary_cross_entropy");
  check_losses("mean_squared_error", "", "mean_squared_error");
}

// Two variables in one flat buffer, with padding between.
struct Flat {
  static constexpr std::int64_t kGap = 13;

  Flat(const golden::Family& family, const std::string& name)
      : a(family[name + "/weight:a"].elements()), b(family[name + "/weight:b"].elements()) {}

  ops::ParameterSegments segments() const {
    return {{.offset = 0, .count = a}, {.offset = a + kGap, .count = b}};
  }
  std::vector<double> join(const std::vector<double>& of_a, const std::vector<double>& of_b) const {
    std::vector<double> flat(of_a);
    flat.resize(static_cast<std::size_t>(a + kGap));
    flat.insert(flat.end(), of_b.begin(), of_b.end());
    return flat;
  }
  Operand operand(const std::vector<double>& values) const { return constant(given({a + kGap + b}, values)); }

  std::int64_t a, b;
};

std::vector<double> row(const Tensor& tensor, std::int64_t step) {
  return values_of(tensor.rows(step, step + 1));
}

void check_optimizer(const golden::Family& family, const std::string& name, const json& attributes) {
  const Flat flat(family, name);
  const bool sgd = attributes["optimizer"] == "SGD", adamw = attributes["optimizer"] == "AdamW";
  const float clip = attributes.value("global_clipnorm", 0.0f);
  const float decay = attributes.value("weight_decay", adamw ? 0.004f : 0.0f);
  const float momentum = attributes.value("momentum", 0.0f);
  const auto of = [&](const std::string& kind) { return values_of(family[name + "/" + kind]); };
  std::vector<double> w = flat.join(of("weight:a"), of("weight:b")), m(w.size()), v(w.size());

  const std::int64_t steps = family[name + "/gradients:a"].shape()[0];
  for (std::int64_t step = 0; step < steps; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    Check check;
    check.terms = 64;
    check.mostly_zero = true;
    check.step = {.step = step, .learning_rate = attributes.value("learning_rate", sgd ? 0.01f : 0.001f)};
    const ValueId weights = check.input(flat.operand(w));
    const ValueId gradient = check.input(flat.operand(
        flat.join(row(family[name + "/gradients:a"], step), row(family[name + "/gradients:b"], step))));
    const ValueId first = check.input(flat.operand(m)), second = check.input(flat.operand(v));
    ValueId norm = kNoValue;
    if (clip > 0) {
      norm = check.graph.emit1("global_norm", {check.graph.emit1("squared_norms", {gradient},
                                                                 ops::SquaredNormsAttrs{flat.segments()})});
    }
    if (sgd) {
      check.graph.emit("sgd", {weights, gradient, momentum != 0 ? first : kNoValue, norm},
                       ops::SgdAttrs{.segments = flat.segments(),
                                     .momentum = momentum,
                                     .nesterov = attributes.value("nesterov", false),
                                     .weight_decay = decay,
                                     .clip_norm = clip});
    } else {
      check.graph.emit("adam", {weights, gradient, first, second, norm},
                       ops::AdamAttrs{.segments = flat.segments(),
                                      .beta1 = attributes.value("beta_1", 0.9f),
                                      .beta2 = attributes.value("beta_2", 0.999f),
                                      .epsilon = attributes.value("epsilon", 1e-7f),
                                      .weight_decay = decay,
                                      .clip_norm = clip});
    }
    check.run();
    w = check.reference(weights);
    if (!sgd || momentum != 0) m = check.reference(first);
    if (!sgd) v = check.reference(second);
    expect_near(w, flat.join(row(family[name + "/after:a"], step), row(family[name + "/after:b"], step)),
                1e-6, true);
  }
}

TEST(GoldenOptimizers, SgdAndAdam) {
  const golden::Family family("optimizers");
  const std::set<std::string> not_ours = {"adam_amsgrad", "sgd_clipnorm", "sgd_clipvalue"};
  for_each_golden_case(family, [&](const std::string& name, const json& attributes) {
    if (!not_ours.contains(name)) check_optimizer(family, name, attributes);
  });
}

}  // namespace
}  // namespace gpunn::testing
