// Layers, with Keras's names, arguments and defaults.
//
// A Layer describes a computation and its weights; it holds no memory. A model gives it a name ("dense",
// "dense_1", ... in the order of the layers, unless `.name` says otherwise), works out shapes and owns the
// weights. Where a Keras layer keeps its own weights, ours belong to the model: the same Layer called twice
// in one model shares its weights, in two models it has two sets.
//
// Images are channels-last: [height, width, channels]. Shapes are those of one sample; the batch is never
// written. Shapes that do not fit throw ShapeError naming the layer, the shapes and the line that made it;
// arguments out of range throw UsageError.
#pragma once

#include <any>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gpunn/dtype.hpp"
#include "gpunn/error.hpp"
#include "gpunn/export.hpp"
#include "gpunn/shape.hpp"

namespace gpunn {

namespace nn {
class LayerDefinition;
struct SymbolicNode;
}  // namespace nn

enum class ActivationFunction : std::uint8_t { linear, relu, sigmoid, tanh, softmax, gelu };
inline constexpr ActivationFunction linear = ActivationFunction::linear;
inline constexpr ActivationFunction relu = ActivationFunction::relu;
inline constexpr ActivationFunction sigmoid = ActivationFunction::sigmoid;
inline constexpr ActivationFunction tanh = ActivationFunction::tanh;
inline constexpr ActivationFunction softmax = ActivationFunction::softmax;  // over the last axis
inline constexpr ActivationFunction gelu = ActivationFunction::gelu;        // exact: x * Phi(x)

// How a variable gets its first values: a function of (model seed, index of the variable, element).
struct Initializer {
  enum class Kind : std::uint8_t {
    zeros,
    ones,
    constant,
    uniform,
    normal,
    glorot_uniform,
    glorot_normal,
    he_uniform,
    he_normal,
    orthogonal
  };
  Kind kind = Kind::zeros;
  float a = 0,
        b = 0;  // constant: value; uniform: low, high; normal: mean, standard deviation; orthogonal: gain
  friend bool operator==(const Initializer&, const Initializer&) = default;
};
inline constexpr Initializer zeros{Initializer::Kind::zeros};
inline constexpr Initializer ones{Initializer::Kind::ones};
inline constexpr Initializer glorot_uniform{Initializer::Kind::glorot_uniform};
inline constexpr Initializer glorot_normal{Initializer::Kind::glorot_normal};  // truncated at two deviations
inline constexpr Initializer he_uniform{Initializer::Kind::he_uniform};
inline constexpr Initializer he_normal{Initializer::Kind::he_normal};  // truncated at two deviations
// Rows or columns (of the last axis against all others), whichever are fewer, are orthogonal and of length
// gain.
constexpr Initializer orthogonal(float gain = 1.0f) {
  return {Initializer::Kind::orthogonal, gain};
}
constexpr Initializer constant(float value) {
  return {Initializer::Kind::constant, value};
}
constexpr Initializer random_uniform(float low = -0.05f, float high = 0.05f) {
  return {Initializer::Kind::uniform, low, high};
}
constexpr Initializer random_normal(float mean = 0.0f, float deviation = 0.05f) {
  return {Initializer::Kind::normal, mean, deviation};
}

// Height and width; one number means both.
struct Size2 {
  std::int64_t height = 1, width = 1;
  constexpr Size2(std::int64_t both) : height(both), width(both) {}  // NOLINT: implicit, as in Keras
  constexpr Size2(std::int64_t h, std::int64_t w) : height(h), width(w) {}
  friend constexpr bool operator==(const Size2&, const Size2&) = default;
};

// valid: none. same: as many zeros as make output = ceil(input / stride), the odd one below and right. causal
// (Conv1D alone): all of them before, so that no output depends on a later step.
struct Padding {
  enum class Kind : std::uint8_t { valid, same, explicit_zeros, causal };
  Kind kind = Kind::valid;
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;
  friend constexpr bool operator==(const Padding&, const Padding&) = default;
};
inline constexpr Padding valid{Padding::Kind::valid};
inline constexpr Padding same{Padding::Kind::same};
inline constexpr Padding causal{Padding::Kind::causal};
constexpr Padding pad(Size2 both_sides) {
  return {Padding::Kind::explicit_zeros, both_sides.height, both_sides.height, both_sides.width,
          both_sides.width};
}
constexpr Padding pad(std::int64_t top, std::int64_t bottom, std::int64_t left, std::int64_t right) {
  return {Padding::Kind::explicit_zeros, top, bottom, left, right};
}

// A value in a network that is being described: what Input() starts from and a layer call returns.
class GPUNN_API Symbolic {
 public:
  const Shape& shape() const;  // of one sample
  Dtype dtype() const;

  explicit Symbolic(std::shared_ptr<const nn::SymbolicNode> node) : node_(std::move(node)) {}
  const std::shared_ptr<const nn::SymbolicNode>& node() const { return node_; }

 private:
  std::shared_ptr<const nn::SymbolicNode> node_;
};

class GPUNN_API Layer {
 public:
  Layer(const Symbolic& input);  // NOLINT: implicit, so that Input() stands first in a Sequential

  // Applies the layer: auto y = Dense(64)(x). Layers with several inputs take a list: Add()({a, b}).
  Symbolic operator()(const Symbolic& x, SourceLocation where = SourceLocation::current()) const;
  Symbolic operator()(const std::vector<Symbolic>& x, SourceLocation where = SourceLocation::current()) const;

  // All results of a layer with several: const auto y = GRU(64, {.return_state = true}).call({x}); y[1] is h.
  std::vector<Symbolic> call(const std::vector<Symbolic>& x,
                             SourceLocation where = SourceLocation::current()) const;

  explicit Layer(std::shared_ptr<const nn::LayerDefinition> definition)
      : definition_(std::move(definition)) {}
  const nn::LayerDefinition& definition() const { return *definition_; }
  const std::shared_ptr<const nn::LayerDefinition>& shared_definition() const { return definition_; }
  const std::optional<Symbolic>& input() const { return input_; }  // when it stands for an Input

 private:
  std::shared_ptr<const nn::LayerDefinition> definition_;
  std::optional<Symbolic> input_;
};

// ---- Every function below returns a layer; `where` records the caller's line for messages. ----------------

struct InputOptions {
  Dtype dtype = Dtype::f32;  // what the first layer computes with; data of other types is converted
  std::string name = {};
};
GPUNN_API Symbolic Input(const Shape& shape, InputOptions options = {},
                         SourceLocation where = SourceLocation::current());

// [..., in] -> [..., units]: activation(x kernel + bias). kernel [in, units], bias [units].
struct DenseOptions {
  ActivationFunction activation = linear;
  bool use_bias = true;
  Initializer kernel_initializer = glorot_uniform;
  Initializer bias_initializer = zeros;
  std::string name = {};
};
GPUNN_API Layer Dense(std::int64_t units, DenseOptions options = {},
                      SourceLocation where = SourceLocation::current());

// [height, width, in] -> [height', width', filters]. kernel [kernel height, kernel width, in / groups,
// filters].
struct Conv2DOptions {
  Size2 strides = 1;
  Padding padding = valid;
  Size2 dilation_rate = 1;
  std::int64_t groups = 1;  // must divide the input channels and the filters
  ActivationFunction activation = linear;
  bool use_bias = true;
  Initializer kernel_initializer = glorot_uniform;
  Initializer bias_initializer = zeros;
  std::string name = {};
};
GPUNN_API Layer Conv2D(std::int64_t filters, Size2 kernel_size, Conv2DOptions options = {},
                       SourceLocation where = SourceLocation::current());

struct Pooling2DOptions {
  std::optional<Size2> strides = {};  // default: the pool size
  Padding padding = valid;            // averages count real elements only, as in Keras
  std::string name = {};
};
GPUNN_API Layer MaxPooling2D(Size2 pool_size = 2, Pooling2DOptions options = {},
                             SourceLocation where = SourceLocation::current());
GPUNN_API Layer AveragePooling2D(Size2 pool_size = 2, Pooling2DOptions options = {},
                                 SourceLocation where = SourceLocation::current());

struct GlobalPooling2DOptions {
  bool keepdims = false;  // [channels], or [1, 1, channels]
  std::string name = {};
};
GPUNN_API Layer GlobalMaxPooling2D(GlobalPooling2DOptions options = {},
                                   SourceLocation where = SourceLocation::current());
GPUNN_API Layer GlobalAveragePooling2D(GlobalPooling2DOptions options = {},
                                       SourceLocation where = SourceLocation::current());

struct LayerOptions {
  std::string name = {};
};
GPUNN_API Layer Flatten(LayerOptions options = {}, SourceLocation where = SourceLocation::current());
// One extent may be -1: what remains.
GPUNN_API Layer Reshape(std::vector<std::int64_t> target_shape, LayerOptions options = {},
                        SourceLocation where = SourceLocation::current());
GPUNN_API Layer Activation(ActivationFunction function, LayerOptions options = {},
                           SourceLocation where = SourceLocation::current());
// y = x * scale + offset: Rescaling(1.0 / 255) for images of bytes.
GPUNN_API Layer Rescaling(double scale, double offset = 0.0, LayerOptions options = {},
                          SourceLocation where = SourceLocation::current());

// In training, sets a share `rate` of the elements to zero and scales the others by 1 / (1 - rate).
GPUNN_API Layer Dropout(double rate, LayerOptions options = {},
                        SourceLocation where = SourceLocation::current());

// Elementwise, two or more inputs, shapes broadcast as in numpy.
GPUNN_API Layer Add(LayerOptions options = {}, SourceLocation where = SourceLocation::current());
GPUNN_API Layer Multiply(LayerOptions options = {}, SourceLocation where = SourceLocation::current());

struct ConcatenateOptions {
  int axis = -1;  // of the batch, as in Keras: 1 is the first axis of a sample, -1 the last
  std::string name = {};
};
GPUNN_API Layer Concatenate(ConcatenateOptions options = {},
                            SourceLocation where = SourceLocation::current());

// Over the last axis: gamma * (x - mean) / sqrt(variance + epsilon) + beta. Training uses the batch's
// statistics and moves moving_mean and moving_variance by (1 - momentum); otherwise those are used. Steps
// that a mask marks as padding are not in the statistics, which are sums over (1e-7 + the number of the
// others), as in Keras.
struct BatchNormalizationOptions {
  double momentum = 0.99;
  double epsilon = 1e-3;
  bool center = true;
  bool scale = true;
  Initializer beta_initializer = zeros;
  Initializer gamma_initializer = ones;
  Initializer moving_mean_initializer = zeros;
  Initializer moving_variance_initializer = ones;
  std::string name = {};
};
GPUNN_API Layer BatchNormalization(BatchNormalizationOptions options = {},
                                   SourceLocation where = SourceLocation::current());

// ---- Sequences: [steps, features], tokens [steps] of Dtype::i32 ----
//
// MASKS. Embedding(.mask_zero) and Masking mark steps that are padding. The mark travels with the value
// through Dense, Dropout, Activation, Rescaling, BatchNormalization, TimeDistributed, Bidirectional and
// recurrent layers that return sequences; recurrent layers leave marked steps out: their output and state
// stay those of the step before, and before the first real step those that they start from (zeros, or the
// given state). Averages over time and BatchNormalization's statistics leave them out too. Add, and
// Concatenate along the features, of inputs that all have a mask: a step is real where any input's is.
// Concatenate along the steps joins masks; steps of an input without one are real. Elsewhere the mark ends,
// with a warning: layers that know nothing of masks (Multiply among them, unlike Keras's), merged inputs of
// which some have none. Where the model's output has a mask, padding counts neither in the loss nor in
// metrics.

// Rows of a table: [...] i32 -> [..., output_dim]; embeddings [input_dim, output_dim]. An id that is not from
// 0 to input_dim - 1 is a DataError, before training where the data is in memory. With mask_zero the id 0 is
// padding, and ids must be [steps]: ShapeError. The gradient is summed in the order of the batch: the same
// bits every time. On a GPU ids that reach the layer through another one are not checked: their rows are NaN.
struct EmbeddingOptions {
  Initializer embeddings_initializer = random_uniform();
  bool mask_zero = false;
  std::string name = {};
};
GPUNN_API Layer Embedding(std::int64_t input_dim, std::int64_t output_dim, EmbeddingOptions options = {},
                          SourceLocation where = SourceLocation::current());

// [steps, features]: marks the steps whose features all are mask_value, and makes them zeros.
struct MaskingOptions {
  float mask_value = 0;
  std::string name = {};
};
GPUNN_API Layer Masking(MaskingOptions options = {}, SourceLocation where = SourceLocation::current());

// RECURRENT LAYERS: [steps, features] -> [units], or [steps, units] with return_sequences. Weights: kernel
// [features, gates * units], recurrent_kernel [units, gates * units], bias [gates * units], with Keras's
// order of gates; a GRU with reset_after has bias [2, 3 * units].
//
//   return_state    also returns the last state(s), h and for LSTM c: use Layer::call()
//   initial state   the layer called with {x, h} (LSTM {x, h, c}) starts from there instead of zeros
//   stateful        starts from the last state of the batch before, sample by sample, until
//                   Model::reset_states(). Every batch then has `stateful_batch_size` samples, in order:
//                   fit() with .shuffle = false.
//   go_backwards    reads the steps from the last to the first; sequences are in the order they are made
//   dropout         of the input and of the state where they meet the weights: a mask drawn once for a
//                   sequence, one for all gates, or for each where there is recurrent_dropout, as in Keras
//   activations     tanh with sigmoid gates have kernels of their own. Others run on a slower path, and the
//                   plan says so; softmax is a UsageError.
//
// A training step keeps per sample and step 4 * units bytes for h and 16 * units (GRU; reset before 12, LSTM
// 20, SimpleRNN 0), with units rounded up to 16: src/ops/recurrent.hpp says of what.
struct SimpleRNNOptions {
  ActivationFunction activation = tanh;
  bool use_bias = true;
  Initializer kernel_initializer = glorot_uniform;
  Initializer recurrent_initializer = orthogonal();
  Initializer bias_initializer = zeros;
  double dropout = 0;
  double recurrent_dropout = 0;
  bool return_sequences = false;
  bool return_state = false;
  bool go_backwards = false;
  bool stateful = false;
  std::int64_t stateful_batch_size = 0;
  std::string name = {};
};
GPUNN_API Layer SimpleRNN(std::int64_t units, SimpleRNNOptions options = {},
                          SourceLocation where = SourceLocation::current());

struct GRUOptions {
  ActivationFunction activation = tanh;
  ActivationFunction recurrent_activation = sigmoid;
  bool use_bias = true;
  Initializer kernel_initializer = glorot_uniform;
  Initializer recurrent_initializer = orthogonal();
  Initializer bias_initializer = zeros;
  double dropout = 0;
  double recurrent_dropout = 0;
  bool return_sequences = false;
  bool return_state = false;
  bool go_backwards = false;
  bool stateful = false;
  std::int64_t stateful_batch_size = 0;
  bool reset_after = true;  // the reset gate acts on h U rather than on h
  std::string name = {};
};
GPUNN_API Layer GRU(std::int64_t units, GRUOptions options = {},
                    SourceLocation where = SourceLocation::current());

struct LSTMOptions {
  ActivationFunction activation = tanh;
  ActivationFunction recurrent_activation = sigmoid;
  bool use_bias = true;
  Initializer kernel_initializer = glorot_uniform;
  Initializer recurrent_initializer = orthogonal();
  Initializer bias_initializer = zeros;
  bool unit_forget_bias = true;  // the forget gate's bias starts at 1
  double dropout = 0;
  double recurrent_dropout = 0;
  bool return_sequences = false;
  bool return_state = false;
  bool go_backwards = false;
  bool stateful = false;
  std::int64_t stateful_batch_size = 0;
  std::string name = {};
};
GPUNN_API Layer LSTM(std::int64_t units, LSTMOptions options = {},
                     SourceLocation where = SourceLocation::current());

// Two recurrent layers on the same sequence: `layer`, and its copy that reads backwards (or
// `backward_layer`). Sequences of the second are turned back, steps of padding become zeros in both, and the
// two are merged. none: both are returned, for Layer::call(). States follow, those of the forward layer
// first; so too initial states. Weights: forward_kernel, ..., backward_kernel, ...
enum class MergeMode : std::uint8_t { concat, sum, mul, ave, none };
struct BidirectionalOptions {
  MergeMode merge_mode = MergeMode::concat;
  std::optional<Layer> backward_layer = {};  // must have go_backwards
  std::string name = {};
};
GPUNN_API Layer Bidirectional(const Layer& layer, BidirectionalOptions options = {},
                              SourceLocation where = SourceLocation::current());

// The layer at every step: [steps, ...] -> [steps, ...], with the layer's own weights. The steps of a batch
// become the rows of a larger one. A mask of the steps goes past the layer, which sees none; one that it
// makes ends with it, as in Keras. Not for BatchNormalization, which in Keras normalises each step alone, nor
// for stateful layers: a UsageError.
GPUNN_API Layer TimeDistributed(const Layer& layer, LayerOptions options = {},
                                SourceLocation where = SourceLocation::current());

// [steps, in] -> [steps', filters], by the convolution of images one row high. kernel [kernel_size, in /
// groups, filters]. Zeros of one's own: pad(before, after, 0, 0).
struct Conv1DOptions {
  std::int64_t strides = 1;
  Padding padding = valid;
  std::int64_t dilation_rate = 1;
  std::int64_t groups = 1;  // must divide the features and the filters
  ActivationFunction activation = linear;
  bool use_bias = true;
  Initializer kernel_initializer = glorot_uniform;
  Initializer bias_initializer = zeros;
  std::string name = {};
};
GPUNN_API Layer Conv1D(std::int64_t filters, std::int64_t kernel_size, Conv1DOptions options = {},
                       SourceLocation where = SourceLocation::current());

struct Pooling1DOptions {
  std::int64_t strides = 0;  // 0: the pool size
  Padding padding = valid;   // averages count real elements only, as in Keras
  std::string name = {};
};
GPUNN_API Layer MaxPooling1D(std::int64_t pool_size = 2, Pooling1DOptions options = {},
                             SourceLocation where = SourceLocation::current());
GPUNN_API Layer AveragePooling1D(std::int64_t pool_size = 2, Pooling1DOptions options = {},
                                 SourceLocation where = SourceLocation::current());

// [steps, features] -> [features]. The average leaves masked steps out (of none at all it is NaN, as in
// Keras); the maximum knows nothing of masks, as in Keras.
struct GlobalPooling1DOptions {
  bool keepdims = false;  // [features], or [1, features]
  std::string name = {};
};
GPUNN_API Layer GlobalMaxPooling1D(GlobalPooling1DOptions options = {},
                                   SourceLocation where = SourceLocation::current());
GPUNN_API Layer GlobalAveragePooling1D(GlobalPooling1DOptions options = {},
                                       SourceLocation where = SourceLocation::current());

// An op of your own (gpunn/graph.hpp: register_op; gpunn/cpu.hpp: how it is computed) as a layer: its inputs
// are the layer's, then the variables in this order. Shapes are what the op infers, with the batch in front;
// every output must have the batch as its first axis (Rows::each or Rows::all). Without a gradient nothing
// flows back through it, and it can have no trainable variables. Attributes are C++ values, so such a model
// cannot be saved (UsageError); save_weights() and load_weights() work.
struct CustomVariable {
  std::string name;  // "kernel"
  Shape shape;
  Initializer initializer = glorot_uniform;
  bool trainable = true;
};
struct CustomOptions {
  std::any attrs = {};  // what OpCall::attrs_as() gives to the op
  std::vector<CustomVariable> variables = {};
  std::string name = {};
};
GPUNN_API Layer Custom(const std::string& op, CustomOptions options = {},
                       SourceLocation where = SourceLocation::current());

}  // namespace gpunn
