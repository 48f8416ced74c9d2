// Graphs of operations, for people who build their own training step or define an op of their own.
//
// A Graph is a list of nodes in execution order. Each node is a call of an op (an OpDef) on values and makes
// values; a value has a shape and a dtype and is made once. Backward is more nodes of the same kind (see
// gradients()). Nothing is computed here: a Graph is planned, scheduled and bound by a backend, which then
// runs it many times.
#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gpunn/dtype.hpp"
#include "gpunn/error.hpp"
#include "gpunn/export.hpp"
#include "gpunn/shape.hpp"

namespace gpunn {

struct Spec {
  Shape shape;
  Dtype dtype = Dtype::f32;

  std::size_t size_bytes() const { return static_cast<std::size_t>(shape.elements()) * size_of(dtype); }
  friend bool operator==(const Spec&, const Spec&) = default;
};
using Specs = std::vector<Spec>;

// How an op treats the batch (the first axis of its batched inputs). It decides what may run slice by slice.
enum class Rows : std::uint8_t {
  each,  // row i of the output depends on row i of the batched inputs, and on inputs that have no batch axis
  sum,   // the output has no batch axis: it is the sum of what each row contributes (gradients of weights,
         // losses)
  all,   // a row of the output may depend on all rows of the inputs: needs the whole batch at once
};

using Attrs = std::any;  // each op has its own struct of attributes; see attrs_as()

// What an op's functions see of one call.
struct OpCall {
  std::string_view op;
  std::span<const Spec> inputs;
  std::span<const Spec> outputs;  // empty while shapes are inferred
  const Attrs* attributes = nullptr;
  SourceLocation where;      // the user's line that made the node
  unsigned accumulates = 0;  // bit k: output k is added to what its memory holds, instead of overwriting it
  unsigned batched = 0;      // bit k: the first axis of input k is the batch

  // Throws UsageError where the call was given attributes of another type, or none.
  template <class T>
  const T& attrs_as() const {
    const T* found = std::any_cast<T>(attributes);
    if (found == nullptr) refuse_attributes();
    return *found;
  }

 private:
  [[noreturn]] GPUNN_API void refuse_attributes() const;
};

// Throws ShapeError "<op>: <what> (inputs [..], [..]) at <user's line>" unless `ok`.
GPUNN_API void expects(bool ok, const OpCall& call, std::string_view what);

struct Cost {
  double flops = 0;  // a multiply-add counts as two
  double bytes = 0;  // read and written, each operand once
};

using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;
using ValueIds = std::vector<ValueId>;

class Graph;
struct Node;

// Emits the nodes of a gradient. dy holds one gradient per output of `node` (kNoValue where nothing flows
// back); returns one per input (kNoValue where there is none).
using GradientFn = ValueIds (*)(Graph& graph, const Node& node, const ValueIds& dy);

// What an op IS, apart from any backend.
struct OpDef {
  std::string name;
  std::vector<Rows> outputs;  // one per output; empty: the op only changes inputs in place (an optimizer)
  Specs (*infer)(const OpCall& call) = nullptr;  // throws ShapeError
  GradientFn gradient = nullptr;                 // null: nothing flows back through this op
  Cost (*cost)(const OpCall& call) = nullptr;    // null: no arithmetic, operands read and written once
  unsigned accumulates = 0;  // bit k: implementations can add output k to what its memory holds
  unsigned mutates = 0;      // bit k: input k is changed in place
  unsigned opaque = 0;       // bit k: what output k holds is the backend's own affair, and so are its bits
  bool view = false;         // output 0 is the elements of input 0 under another shape: nothing is computed
};

// Adds an op to the process-wide registry, for ops defined outside the library. Throws UsageError when the
// name is taken.
GPUNN_API void register_op(OpDef def);
// The op of that name; throws UsageError naming it and the nearest known names.
GPUNN_API const OpDef& find_op(std::string_view name);
GPUNN_API std::vector<std::string_view> op_names();

// Memory that outlives a step. A value lives in the plan's arena, or at an offset of one of these.
enum class Store : std::uint8_t {
  arena,       // planned memory, alive only between its first and last use in a step
  input,       // given at each run: `offset` is the number of the input
  parameters,  // trainable variables, one flat buffer
  gradients,   // theirs, laid out alike
  state,       // variables that are not trained (moving statistics, recurrent state)
  slot0,
  slot1,    // optimizer slots (momentum; Adam's m and v), laid out like parameters
  results,  // losses and metrics: (sum, weight) pairs read by the host after a step
  output,   // copied out for the caller: `offset` is the number of the output
};

struct Place {
  Store store = Store::arena;
  std::size_t offset = 0;  // bytes, or the number of an input or output
};

struct Value {
  Spec spec;
  bool batched = false;  // the first axis is the batch
  Place place;
  std::int32_t producer = -1;  // node index; -1 for inputs and variables
  std::string name;
};

// A training plan runs in three segments; gradients may run several times before reduce and update.
enum class Segment : std::uint8_t { gradients, reduce, update };

struct Node {
  const OpDef* op = nullptr;
  ValueIds inputs;  // kNoValue marks an optional input that is absent
  ValueIds outputs;
  Attrs attrs;
  SourceLocation where;
  std::string layer;  // the layer that emitted it, for plans, traces and errors
  Segment segment = Segment::gradients;
  bool backward = false;
  ValueIds accumulate;  // accumulate[k]: output k is added onto this value, sharing its memory; or kNoValue
};

class GPUNN_API Graph {
 public:
  Graph() = default;

  // Values from outside. `batched` inputs have the batch as their first axis.
  ValueId input(std::string name, Spec spec, bool batched = true);
  ValueId external(std::string name, Spec spec, Place place);  // a variable, or a whole flat buffer

  // Appends a call of `op`; infers shapes and throws ShapeError, naming the user's line, when they do not
  // fit.
  ValueIds emit(const OpDef& op, ValueIds inputs, Attrs attrs = {});
  ValueIds emit(std::string_view op, ValueIds inputs, Attrs attrs = {}) {
    return emit(find_op(op), std::move(inputs), std::move(attrs));
  }
  // The same for ops with one output.
  ValueId emit1(std::string_view op, ValueIds inputs, Attrs attrs = {}) {
    return emit(op, std::move(inputs), std::move(attrs)).at(0);
  }

  // Nodes emitted from now on belong to this layer, source line and segment.
  void set_layer(std::string layer, SourceLocation where = {});
  void set_segment(Segment segment) { segment_ = segment; }

  void place(ValueId value, Place place);  // makes an arena value live elsewhere
  std::int64_t batch() const { return batch_; }

  const Value& value(ValueId id) const { return values_.at(static_cast<std::size_t>(id)); }
  const Spec& spec(ValueId id) const { return value(id).spec; }
  const std::vector<Value>& values() const { return values_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  std::vector<Node>& nodes() { return nodes_; }  // for passes
  std::vector<Value>& mutable_values() { return values_; }
  std::vector<ValueId> inputs() const;  // in the order they were made

  // What an op's functions and a backend are given for node `index`. Valid until the graph changes.
  struct CallStorage {
    Specs inputs, outputs;  // an absent optional input has shape [0]
    OpCall call;
  };
  CallStorage call(const Node& node) const;

 private:
  friend GPUNN_API ValueIds gradients(Graph& graph, const ValueIds& losses, const ValueIds& wrt);
  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::string layer_;
  SourceLocation where_;
  Segment segment_ = Segment::gradients;
  bool backward_ = false;
  std::int64_t batch_ = -1;
  int input_count_ = 0;
};

// Appends the nodes that compute d (sum of losses) / d value for each of `wrt` and returns those values;
// kNoValue where no loss depends on one. A loss is an output of a loss op: that op's gradient function is
// called with kNoValue for it and starts from 1. Where a value has several consumers, later shares are added
// onto the first where the op can do that.
GPUNN_API ValueIds gradients(Graph& graph, const ValueIds& losses, const ValueIds& wrt);

}  // namespace gpunn
