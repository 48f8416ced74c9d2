// A network: layers that call each other, with names, shapes and variables, for one sample. It can be traced
// into a graph for any batch.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "src/ir/variables.hpp"
#include "src/nn/layer.hpp"

namespace gpunn::nn {

class Network {
 public:
  // One use of a layer. Values are numbered: inputs first, then those that each call makes.
  struct Call {
    int layer = 0;  // index into layers()
    std::vector<int> inputs;
    int output = 0;  // the first of its `outputs`
    SourceLocation where;
    int outputs = 1;
  };

  struct NamedLayer {
    std::string name;
    Definition definition;
    int first_variable = 0;
    VariableSpecs variables;
  };

  // What leads from `inputs` to `outputs`. Throws UsageError when an output depends on an input that is not
  // listed, or two layers have the same name.
  Network(const std::vector<Symbolic>& inputs, const std::vector<Symbolic>& outputs, SourceLocation where);
  // The same from numbered parts: inputs, then calls[i] = layers[layer](values...). Throws UsageError for
  // numbers that do not exist yet.
  struct Parts {
    std::vector<Symbolic> inputs;
    std::vector<Layer> layers;
    std::vector<Call> calls;
    std::vector<int> outputs;
  };
  static Network assemble(const Parts& parts);
  // A chain; the first layer is an Input.
  static Network chain(const std::vector<Layer>& layers, SourceLocation where);

  const std::vector<NamedLayer>& layers() const { return layers_; }  // in the order of their first calls
  const std::vector<Call>& calls() const { return calls_; }          // in an order that can be computed
  const std::vector<Spec>& values() const { return values_; }        // per sample
  std::size_t inputs() const { return input_names_.size(); }         // values [0, inputs())
  const std::vector<std::string>& input_names() const { return input_names_; }
  const std::vector<int>& outputs() const { return outputs_; }
  const Spec& input(std::size_t i) const { return values_[i]; }
  const Spec& output(std::size_t i) const { return values_[static_cast<std::size_t>(outputs_[i])]; }
  const std::string& value_name(int value) const;  // the layer (or input) that makes it
  // The ids in input `i` must be below this, because an embedding reads it; 0: there is no limit.
  std::int64_t vocabulary(std::size_t i) const;
  // The first layer that keeps a state from batch to batch, for batches of one size; null: none does.
  const NamedLayer* stateful() const;
  bool is_chain() const;  // one input, each layer called once, on the one before it

  // Adds the variables, named "<layer>/<variable>", in order. REQUIRES: an empty store.
  void declare(VariableStore& store) const;
  // Their first values.
  void initialize(const VariableStore& store, std::uint64_t seed) const;

  // Emits all calls on inputs [batch, ...] of the dtypes of input(); returns the outputs.
  struct Trace {
    ValueIds outputs;
    ValueIds masks;      // of the outputs: u8 [batch, steps]; kNoValue: none
    ValueIds variables;  // by index of the store
    std::vector<StateUpdate> updates;
  };
  Trace trace(Graph& graph, Mode mode, const ValueIds& inputs, const VariableStore& store) const;

 private:
  Network() = default;
  int visit(const std::shared_ptr<const SymbolicNode>& node, std::map<const SymbolicNode*, int>& values);
  int layer_index(const Definition& definition, const Specs& inputs, SourceLocation where);
  std::string unique_name(const LayerDefinition& definition) const;
  void add_input(const SymbolicNode& node);
  bool returns_mask(const LayerDefinition& layer, const std::string& name, const std::vector<int>& inputs,
                    const Specs& specs) const;
  int add_call(const Definition& definition, std::vector<int> inputs, SourceLocation where);

  std::vector<std::string> input_names_;
  std::vector<Spec> values_;
  std::vector<bool> masked_;  // which values carry a mask
  std::vector<int> makers_;   // the call that makes a value; -1: an input
  std::vector<NamedLayer> layers_;
  std::vector<Call> calls_;
  std::vector<int> outputs_;
  int variable_count_ = 0;
};

// "Conv2D" -> "conv2d", "MaxPooling2D" -> "max_pooling2d", as Keras names layers.
std::string snake_case(std::string_view type);

}  // namespace gpunn::nn
