// An op of a program outside the tree, in a model: y = gain * x * factor for each feature, with its gradient.
// It learns the factors, runs in any number of threads to the same bits, and stands in the plan.
#include <cmath>
#include <cstdio>
#include <vector>

#include <gpunn/cpu.hpp>
#include <gpunn/gpunn.hpp>
#include <gpunn/graph.hpp>

namespace {

struct ScaleAttrs {
  float gain = 1;
};

// x [batch, n], factor [n] -> [batch, n]
gpunn::Specs infer_scale(const gpunn::OpCall& call) {
  const gpunn::Shape& x = call.inputs[0].shape;
  gpunn::expects(x.rank() == 2 && call.inputs[1].shape == gpunn::Shape{x[1]}, call,
                 "factor must be [n] for x [batch, n]");
  return {call.inputs[0]};
}

// x, dy [batch, n] -> [n]: what the batch adds up to.
gpunn::Specs infer_factor_gradient(const gpunn::OpCall& call) {
  return {gpunn::Spec{gpunn::Shape{call.inputs[0].shape[1]}}};
}

// An implementation that is a loop over a slice: loop(s, n, gain).
template <class Loop>
gpunn::cpu::Implementation implement(const gpunn::OpCall& call, Loop loop) {
  const std::int64_t n = call.inputs[0].shape[1];
  const float gain = call.attrs_as<ScaleAttrs>().gain;
  return {.name = "loop",
          .why = "of this program",
          .scratch = 0,
          .tasks = 0,
          .run = [=](const gpunn::cpu::Slice& s) { loop(s, n, gain); }};
}

gpunn::cpu::Implementation scale(const gpunn::OpCall& call, const gpunn::cpu::Target&) {
  return implement(call, [](const gpunn::cpu::Slice& s, std::int64_t n, float gain) {
    for (std::int64_t i = 0; i < s.rows * n; ++i) s.out(0)[i] = gain * s.in(0)[i] * s.in(1)[i % n];
  });
}

gpunn::cpu::Implementation factor_gradient(const gpunn::OpCall& call, const gpunn::cpu::Target&) {
  return implement(call, [](const gpunn::cpu::Slice& s, std::int64_t n, float gain) {
    for (std::int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (std::int64_t i = j; i < s.rows * n; i += n) sum += gain * s.in(0)[i] * s.in(1)[i];
      s.out(0)[j] = sum;
    }
  });
}

gpunn::ValueIds gradient(gpunn::Graph& graph, const gpunn::Node& node, const gpunn::ValueIds& dy) {
  const gpunn::ValueId x = node.inputs[0], factor = node.inputs[1];
  return {graph.emit1("own_scale", {dy[0], factor}, node.attrs),
          graph.emit1("own_scale_factor_gradient", {x, dy[0]}, node.attrs)};
}

void define_own_op() {
  gpunn::register_op(
      {.name = "own_scale", .outputs = {gpunn::Rows::each}, .infer = infer_scale, .gradient = gradient});
  gpunn::register_op(
      {.name = "own_scale_factor_gradient", .outputs = {gpunn::Rows::sum}, .infer = infer_factor_gradient});
  gpunn::cpu::register_op("own_scale", scale);
  gpunn::cpu::register_op("own_scale_factor_gradient", factor_gradient);
}

gpunn::Sequential make_model(int threads) {
  return gpunn::Sequential(
      {gpunn::Input({3}), gpunn::Dense(3, {.kernel_initializer = gpunn::orthogonal()}),
       gpunn::Custom("own_scale",
                     {.attrs = ScaleAttrs{2}, .variables = {{"factor", {3}, gpunn::ones}}, .name = "scale"}),
       gpunn::Dense(1)},
      {.device = "cpu", .threads = threads});
}

int failures = 0;
void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  ++failures;
}

double loss_of(gpunn::Model& model, const gpunn::Tensor& x, const gpunn::Tensor& y) {
  return model.evaluate(x, y)["loss"];
}

// The step that SGD takes says what the gradient was: it must be the slope of the loss.
void gradient_is_the_slope(const gpunn::Tensor& x, const gpunn::Tensor& y) {
  constexpr float rate = 1e-3f, h = 1e-2f;
  for (const char* name : {"scale/factor", "dense/kernel"}) {  // its own variable, and what lies before it
    gpunn::Sequential model = make_model(1), twin = make_model(1);
    for (gpunn::Model* each : {static_cast<gpunn::Model*>(&model), static_cast<gpunn::Model*>(&twin)})
      each->compile({.optimizer = gpunn::SGD({.learning_rate = rate}), .loss = gpunn::MeanSquaredError()});
    float& w = twin.weight(name).data<float>()[1];
    const float before = w;
    w = before + h;
    const double above = loss_of(twin, x, y);
    w = before - h;
    const double slope = (above - loss_of(twin, x, y)) / (2 * h);
    model.train_on_batch(x, y);
    const double gradient = (before - model.weight(name).data<float>()[1]) / rate;
    std::printf("%s: gradient %.5f, slope %.5f\n", name, gradient, slope);
    expect(std::abs(slope) > 0.01 && std::abs(gradient - slope) < 0.02 * std::abs(slope) + 1e-3, name);
  }
}

}  // namespace

int main() {
  define_own_op();
  constexpr std::int64_t rows = 64;
  gpunn::Tensor x({rows, 3}), y({rows, 1});
  for (std::size_t i = 0; i < 3 * rows; ++i) x.data<float>()[i] = 2 * gpunn::uniform01({.seed = 3}, i) - 1;
  for (std::size_t r = 0; r < rows; ++r)
    y.data<float>()[r] = x.data<float>()[3 * r] - 3 * x.data<float>()[3 * r + 2];
  gradient_is_the_slope(x, y);

  gpunn::Sequential model = make_model(1), threads = make_model(2);
  for (gpunn::Model* each : {static_cast<gpunn::Model*>(&model), static_cast<gpunn::Model*>(&threads)}) {
    each->compile({.optimizer = gpunn::Adam({.learning_rate = 0.02}), .loss = gpunn::MeanSquaredError()});
    each->fit(x, y, {.epochs = 100, .batch_size = 16, .verbose = gpunn::Verbose::silent});
  }
  expect(loss_of(model, x, y) < 1e-3, "it learns");
  expect(loss_of(model, x, y) == loss_of(threads, x, y), "the same bits in two threads");
  expect(model.plan().text.find("of this program") != std::string::npos, "the plan names the implementation");
  expect(model.summary().find("scale (Custom)") != std::string::npos, "the summary has the layer");
  try {
    model.save("own_op.safetensors");
    expect(false, "a UsageError: it cannot be saved");
  } catch (const gpunn::UsageError&) {
  }
  return failures;
}
