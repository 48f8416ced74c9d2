// What Keras computes for these layers (tests/golden): masks, states, both directions, dropout, every
// activation it was asked for. The oracle must agree to the last digits, the kernels to the rounding of
// float.
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "gpunn/io.hpp"
#include "tests/rnn/rnn_run.hpp"
#include "tests/support/golden_folder.hpp"

namespace gpunn::cpu::simd {
namespace {

using Json = nlohmann::json;

class Case {
 public:
  Case(const io::SafetensorsFile& file, std::string name) : file_(file), name_(std::move(name)) {}

  const Tensor* find(const std::string& kind) const { return file_.find(name_ + "/" + kind); }
  // Empty if the case has no such tensor.
  Numbers numbers(const std::string& kind) const {
    const Tensor* tensor = find(kind);
    if (!tensor) return {};
    if (tensor->dtype() == Dtype::f64) return {tensor->data<double>().begin(), tensor->data<double>().end()};
    return {tensor->data<float>().begin(), tensor->data<float>().end()};
  }
  // Outputs and cotangents are numbered as soon as there are several.
  Numbers part(const std::string& kind, int k) const {
    const Numbers only = k == 0 ? numbers(kind) : Numbers();
    return only.empty() ? numbers(kind + ":" + std::to_string(k)) : only;
  }
  std::vector<std::uint8_t> mask() const {
    const Tensor* tensor = find("mask");
    if (!tensor) return {};
    return {tensor->data<std::uint8_t>().begin(), tensor->data<std::uint8_t>().end()};
  }

 private:
  const io::SafetensorsFile& file_;
  std::string name_;
};

RnnActivation activation_of(const Json& attributes, const char* key, RnnActivation otherwise) {
  if (!attributes.contains(key)) return otherwise;
  const std::map<std::string, RnnActivation> kinds = {{"linear", RnnActivation::linear},
                                                      {"tanh", RnnActivation::tanh},
                                                      {"sigmoid", RnnActivation::sigmoid},
                                                      {"relu", RnnActivation::relu},
                                                      {"gelu", RnnActivation::gelu}};
  return kinds.at(attributes[key].get<std::string>());
}

RnnCell cell_of(const std::string& family, const Json& attributes) {
  const std::string layer = attributes.value("layer", family);
  if (layer == "simple_rnn") return RnnCell::simple;
  if (layer == "lstm") return RnnCell::lstm;
  return attributes.value("reset_after", true) ? RnnCell::gru : RnnCell::gru_reset_before;
}

RnnProblem problem_of(const std::string& family, const Case& c, const Json& attributes) {
  const Shape x = c.find("input")->shape();
  RnnProblem p;
  p.shape = {.cell = cell_of(family, attributes), .rows = x[0], .steps = x[1], .input = x[2]};
  p.shape.units = attributes["units"];
  p.shape.sequences = attributes.value("return_sequences", false);
  p.shape.reversed = attributes.value("go_backwards", false);
  p.shape.activation = activation_of(attributes, "activation", RnnActivation::tanh);
  p.shape.recurrent_activation = activation_of(attributes, "recurrent_activation", RnnActivation::sigmoid);
  p.x = c.numbers("input");
  p.kernel = c.numbers("weight:kernel");
  p.recurrent = c.numbers("weight:recurrent_kernel");
  p.bias = c.numbers("weight:bias");
  p.h0 = c.numbers("initial_state:0");
  p.c0 = c.numbers("initial_state:1");
  p.mask = c.mask();
  const auto dropout = [&](const std::string& kind, int& masks) {
    const Tensor* mask = c.find(kind);
    masks = mask ? static_cast<int>(mask->shape()[1]) : 0;
    return c.numbers(kind);
  };
  p.input_mask = dropout("dropout:input", p.shape.input_masks);
  p.recurrent_mask = dropout("dropout:state", p.shape.recurrent_masks);
  (p.shape.sequences ? p.dy : p.dh_last) = c.part("cotangent", 0);
  const Numbers of_state = c.part("cotangent", 1);  // the last state is the last output once more
  p.dh_last.resize(std::max(p.dh_last.size(), of_state.size()));
  for (std::size_t i = 0; i < of_state.size(); ++i) p.dh_last[i] += of_state[i];
  p.dc_last = c.part("cotangent", 2);
  return p;
}

void expect_equal(const Numbers& got, const Numbers& want, const char* what) {
  if (want.empty()) return;
  ASSERT_EQ(got.size(), want.size()) << what;
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    norm += want[i] * want[i];
  }
  EXPECT_LE(std::sqrt(difference), 1e-10 * std::sqrt(norm)) << what;
}

void expect_keras(const std::string& family, const Case& c, const Json& attributes) {
  const RnnProblem p = problem_of(family, c, attributes);
  ASSERT_FALSE(c.part("output", 0).empty() || c.part("grad:input", 0).empty() ||
               c.numbers("grad:kernel").empty());
  const RnnOutputs out = reference::forward(p);
  const RnnGradients g = reference::backward(p);
  expect_equal(p.shape.sequences ? out.y : out.h_last, c.part("output", 0), "output");
  expect_equal(out.h_last, c.part("output", 1), "state");
  expect_equal(out.c_last, c.part("output", 2), "state c");
  expect_equal(g.dx, c.part("grad:input", 0), "dx");
  expect_equal(g.dkernel, c.numbers("grad:kernel"), "dkernel");
  expect_equal(g.drecurrent, c.numbers("grad:recurrent_kernel"), "drecurrent");
  expect_equal(g.dbias, c.numbers("grad:bias"), "dbias");
  expect_equal(g.dh0, c.numbers("grad:initial_state_0"), "dh0");
  expect_equal(g.dc0, c.numbers("grad:initial_state_1"), "dc0");
  for (const Isa isa : {Isa::base, Isa::avx2, Isa::avx512}) {
    if (kernels_for(isa)) expect_matches(*kernels_for(isa), p);
  }
}

class RnnGoldenTest : public ::testing::TestWithParam<std::string> {};

TEST_P(RnnGoldenTest, KernelsAndOracleComputeWhatKerasDoes) {
  const auto folder = gpunn::testing::golden_folder();
  const io::SafetensorsFile file = io::load_safetensors(folder / (GetParam() + ".safetensors"));
  int cases = 0;
  for (const auto& [name, attributes] : file.metadata) {
    if (!file.find(name + "/input")) continue;  // the generator's versions, checksums
    SCOPED_TRACE(name);
    const Json described = Json::parse(attributes);
    if (described.contains("merge_mode")) continue;  // two layers
    expect_keras(GetParam(), Case(file, name), described);
    ++cases;
  }
  EXPECT_GE(cases, 13);
}

INSTANTIATE_TEST_SUITE_P(Families, RnnGoldenTest,
                         ::testing::Values("simple_rnn", "gru", "lstm", "recurrent_dropout"));

}  // namespace
}  // namespace gpunn::cpu::simd
