// What a layer is inside the library: a pure description. It names the variables it needs for given inputs
// and emits its ops into a graph; it keeps neither weights nor shapes, so one definition serves many models.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gpunn/graph.hpp"
#include "gpunn/layers.hpp"

namespace gpunn::nn {

using Json = nlohmann::ordered_json;

enum class Mode : std::uint8_t { train, evaluate, predict };
std::string_view to_string(Mode mode);

struct VariableSpec {
  std::string name;  // "kernel"
  Shape shape;
  Initializer initializer;
  bool trainable = true;
  bool sequence_state = false;                // zero at first, and again after Model::reset_states()
  std::int64_t ones_begin = 0, ones_end = 0;  // these elements are 1 at first, whatever the initializer
};
using VariableSpecs = std::vector<VariableSpec>;

// An op that changes a layer's state (moving statistics). It joins the update segment, so that a step whose
// update is left out changes nothing.
struct StateUpdate {
  std::string layer;
  std::string_view op;
  ValueIds inputs;
  Attrs attrs;
};

// What a layer sees while it emits its ops for a whole batch.
struct Emission {
  Graph& graph;
  Mode mode = Mode::predict;
  std::string_view layer = {};
  ValueIds x = {};           // its inputs, [batch, ...]
  ValueIds masks = {};       // of the inputs: u8 [batch, steps], 0 for padding; kNoValue or missing: none
  ValueIds variables = {};   // in the order of LayerDefinition::variables
  std::uint32_t stream = 0;  // names this layer's random numbers
  std::vector<StateUpdate>* updates = nullptr;  // where to leave them; null: nobody wants them

  const Shape& shape(std::size_t input = 0) const { return graph.spec(x[input]).shape; }
  ValueId mask() const { return masks.empty() ? kNoValue : masks[0]; }
  void update(std::string_view op, ValueIds inputs, Attrs attrs) const {
    if (updates) updates->push_back({std::string(layer), op, std::move(inputs), std::move(attrs)});
  }
};

// What a layer does with the masks of its inputs. One that it has no use for ends there, and the model warns.
enum class MaskUse : std::uint8_t {
  lose,   // knows nothing of masks
  take,   // reads that of its first input; what it returns needs none
  pass,   // returns it with its first outputs: LayerDefinition::masked_outputs()
  make,   // returns one of its own: LayerDefinition::mask()
  merge,  // makes one of those of all inputs where it can: LayerDefinition::merges_masks(), mask()
};

class LayerDefinition {
 public:
  LayerDefinition(std::string name, SourceLocation where) : name_(std::move(name)), where_(where) {}
  virtual ~LayerDefinition() = default;

  virtual std::string_view type() const = 0;  // "Dense"
  // The variables for inputs of these per-sample specs. Throws ShapeError through `reject`.
  virtual VariableSpecs variables(const Specs&) const { return {}; }
  virtual ValueId emit(const Emission& e) const = 0;
  // For layers with several outputs; emit() returns the first.
  virtual ValueIds emit_all(const Emission& e) const { return {emit(e)}; }
  virtual MaskUse mask_use() const { return MaskUse::lose; }
  virtual ValueId mask(const Emission&) const { return kNoValue; }
  virtual std::size_t masked_outputs() const { return 1; }
  // For MaskUse::merge: whether inputs of these per-sample specs, of which some are masked, leave a mask.
  virtual bool merges_masks(const Specs&, const std::vector<bool>& /*masked*/) const { return false; }
  // The ids that its (i32) input may hold are below this; 0: they are no ids.
  virtual std::int64_t vocabulary() const { return 0; }
  // The only batch size it takes; 0: any.
  virtual std::int64_t batch_size() const { return 0; }
  // Whether it treats all leading axes of its input alike: each vector of features by itself, or each number.
  virtual bool works_by_vector() const { return false; }
  // Whether what it does to a sample depends on the others of the batch.
  virtual bool mixes_samples() const { return false; }
  virtual Json config() const { return Json::object(); }  // Keras's arguments, for save()
  virtual bool takes(std::size_t inputs) const { return inputs == 1; }

  const std::string& name() const { return name_; }  // empty: the model chooses
  const SourceLocation& where() const { return where_; }

 protected:
  // Throws ShapeError unless `ok`; infer() adds the layer and its inputs.
  static void expects(bool ok, const std::string& what) {
    if (!ok) throw ShapeError(what);
  }
  // The same for arguments, with the layer's type and line: for constructors.
  static void argument(bool ok, std::string_view type, const std::string& what, SourceLocation where) {
    if (!ok) throw UsageError(std::string(type) + ": " + what, where);
  }

 private:
  std::string name_;
  SourceLocation where_;
};

using Definition = std::shared_ptr<const LayerDefinition>;

struct SymbolicNode {
  Definition layer;  // null: an input of the network
  std::vector<std::shared_ptr<const SymbolicNode>> inputs;
  Spec spec;         // of one sample
  std::string name;  // of an input
  SourceLocation where;
  std::shared_ptr<const SymbolicNode> first = nullptr;  // of an output after the first: the first
  int output = 0;                                       // which one it is
};

// The per-sample results of `layer` (called `name` in messages) on inputs of these per-sample specs, found by
// emitting it into a scratch graph: shapes have one source, the ops. Throws ShapeError naming all of them.
Specs infer(const LayerDefinition& layer, std::string_view name, const Specs& inputs, SourceLocation where);

// y = function(x); x itself for linear.
ValueId emit_activation(Graph& graph, ValueId x, ActivationFunction function);

std::string_view to_string(ActivationFunction function);
Json to_json(const Initializer& initializer);
Json to_json(const Padding& padding);
Json to_json(const Size2& size);
Json to_json(const Shape& shape);

// Reads one layer's config, as config() wrote it. Every key is optional; a value of the wrong kind throws
// DataError naming the key.
class ConfigReader {
 public:
  ConfigReader(const Json& config, std::string_view type) : config_(config), type_(type) {}
  std::int64_t integer(const char* key, std::int64_t otherwise) const;
  double number(const char* key, double otherwise) const;
  bool boolean(const char* key, bool otherwise) const;
  std::string text(const char* key, const std::string& otherwise) const;
  ActivationFunction activation(const char* key, ActivationFunction otherwise = linear) const;
  Initializer initializer(const char* key, Initializer otherwise) const;
  Padding padding(const char* key) const;
  Size2 size(const char* key, Size2 otherwise) const;
  std::vector<std::int64_t> integers(const char* key) const;
  std::optional<Layer> layer(const char* key) const;  // {"class_name": .., "config": ..}

 private:
  const Json* find(const char* key) const;
  std::int64_t whole(const Json& value, const char* key, const char* wanted) const;
  [[noreturn]] void wrong(const char* key, const char* wanted) const;
  const Json& config_;
  std::string_view type_;
};

MergeMode merge_mode_from(std::string_view name);

// How a type of layer is made again from its config. A new type of layer adds its line to kLayerTypes
// (config.cpp).
using FromConfig = Layer (*)(const ConfigReader& config, std::string name);
Layer layer_from_config(std::string_view type, const Json& config, std::string name);

}  // namespace gpunn::nn
