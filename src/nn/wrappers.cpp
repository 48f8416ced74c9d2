// Layers around layers: Bidirectional and TimeDistributed.

#include "src/core/log.hpp"
#include "src/core/text.hpp"
#include "src/nn/recurrent.hpp"
#include "src/ops/affine.hpp"
#include "src/ops/binary.hpp"
#include "src/ops/concatenate.hpp"
#include "src/ops/reshape.hpp"

namespace gpunn::nn {
namespace {

using Recurrent = std::shared_ptr<const RecurrentLayer>;

struct MergeName {
  MergeMode mode;
  const char* name;  // as in saved models
};
constexpr MergeName kMergeModes[] = {{MergeMode::concat, "concat"},
                                     {MergeMode::sum, "sum"},
                                     {MergeMode::mul, "mul"},
                                     {MergeMode::ave, "ave"},
                                     {MergeMode::none, "none"}};

Json described(const LayerDefinition& layer) {
  return {{"class_name", layer.type()}, {"config", layer.config()}};
}

// The random numbers of the second direction; RecurrentLayer's own masks are 1 << 16 apart.
constexpr std::uint32_t kBackwardStream = 1u << 17;

class BidirectionalLayer final : public LayerDefinition {
 public:
  BidirectionalLayer(Recurrent forward, Recurrent backward, MergeMode mode, std::string name,
                     SourceLocation where)
      : LayerDefinition(std::move(name), where),
        forward_(std::move(forward)),
        backward_(std::move(backward)),
        mode_(mode) {
    const RecurrentOptions &f = forward_->options(), &b = backward_->options();
    argument(!f.go_backwards && b.go_backwards, "Bidirectional",
             "the layer must read forwards and the backward layer backwards", where);
    argument(f.return_sequences == b.return_sequences && f.return_state == b.return_state &&
                 f.stateful == b.stateful && forward_->states() == backward_->states(),
             "Bidirectional", "both layers must return the same things and be stateful alike", where);
    argument(mode == MergeMode::concat || mode == MergeMode::none || forward_->units() == backward_->units(),
             "Bidirectional", "both layers must have the same units to be merged", where);
  }

  std::string_view type() const override { return "Bidirectional"; }
  bool takes(std::size_t inputs) const override {
    return inputs == 1 || inputs == 1 + 2 * forward_->states();
  }
  MaskUse mask_use() const override { return forward_->mask_use(); }
  std::size_t masked_outputs() const override { return mode_ == MergeMode::none ? 2 : 1; }
  std::int64_t batch_size() const override { return forward_->batch_size(); }

  VariableSpecs variables(const Specs& x) const override {
    VariableSpecs all;
    const auto add = [&](const RecurrentLayer& layer, const char* prefix) {
      for (VariableSpec& spec : layer.variables(x)) {
        spec.name = prefix + spec.name;
        all.push_back(std::move(spec));
      }
    };
    add(*forward_, "forward_");
    add(*backward_, "backward_");
    return all;
  }

  ValueId emit(const Emission& e) const override { return emit_all(e)[0]; }

  ValueIds emit_all(const Emission& e) const override {
    const std::size_t states = e.x.size() / 2;  // of each direction: 0, 1 or 2
    const auto first = static_cast<std::ptrdiff_t>(forward_->variable_count());
    Emission f = e, b = e;
    f.x.resize(1 + states);
    b.x.erase(b.x.begin() + 1, b.x.begin() + 1 + static_cast<std::ptrdiff_t>(states));
    f.variables.assign(e.variables.begin(), e.variables.begin() + first);
    b.variables.assign(e.variables.begin() + first, e.variables.end());
    b.stream += kBackwardStream;
    ValueIds ahead = forward_->emit_all(f), back = backward_->emit_all(b);
    if (forward_->options().return_sequences) {
      back[0] = e.graph.emit1("reverse", {back[0]});
      // Steps of padding become zeros here, as in Keras; elsewhere they repeat the step before.
      for (ValueId* y : {&ahead[0], &back[0]}) {
        if (e.mask() != kNoValue) *y = e.graph.emit1("apply_mask", {*y, e.mask()});
      }
    }
    ValueIds outputs = merge(e.graph, ahead[0], back[0]);
    outputs.insert(outputs.end(), ahead.begin() + 1, ahead.end());
    outputs.insert(outputs.end(), back.begin() + 1, back.end());
    return outputs;
  }

  Json config() const override {
    Json json = {{"layer", described(*forward_)}, {"backward_layer", described(*backward_)}};
    for (const MergeName& known : kMergeModes) {
      if (known.mode == mode_) json["merge_mode"] = known.name;
    }
    return json;
  }

 private:
  ValueIds merge(Graph& graph, ValueId ahead, ValueId back) const {
    const auto binary = [&](ops::Binary kind) {
      return graph.emit1("binary", {ahead, back}, ops::BinaryAttrs{kind});
    };
    switch (mode_) {
      case MergeMode::concat:
        return {graph.emit1("concatenate", {ahead, back}, ops::ConcatenateAttrs{-1})};
      case MergeMode::sum:
        return {binary(ops::Binary::add)};
      case MergeMode::mul:
        return {binary(ops::Binary::multiply)};
      case MergeMode::ave:
        return {graph.emit1("affine", {binary(ops::Binary::add)}, ops::AffineAttrs{.scale = 0.5f})};
      case MergeMode::none:
        break;
    }
    return {ahead, back};
  }

  Recurrent forward_, backward_;
  MergeMode mode_;
};

// Layers that see vectors of features, or single numbers, do so at every step as they are. For others all
// steps of all samples become the rows of one large batch.
class TimeDistributedLayer final : public LayerDefinition {
 public:
  TimeDistributedLayer(Definition layer, std::string name, SourceLocation where)
      : LayerDefinition(std::move(name), where), layer_(std::move(layer)) {
    argument(
        !layer_->mixes_samples(), "TimeDistributed",
        cat("a ", layer_->type(),
            " has statistics of the batch, which Keras takes at each step alone; apply it to the sequence "
            "itself, for those of all steps"),
        where);
    argument(layer_->batch_size() == 0, "TimeDistributed",
             cat("a stateful ", layer_->type(), " cannot be applied step by step"), where);
    if (layer_->mask_use() == MaskUse::make)
      log_warning(
          cat("TimeDistributed: the mask that its ", layer_->type(), " makes ends there, as in Keras"));
  }

  std::string_view type() const override { return "TimeDistributed"; }
  MaskUse mask_use() const override { return MaskUse::pass; }
  bool works_by_vector() const override { return layer_->works_by_vector(); }
  std::int64_t vocabulary() const override { return layer_->vocabulary(); }
  VariableSpecs variables(const Specs& x) const override {
    expects(x[0].shape.rank() >= (works_by_vector() ? 2 : 1), "needs sequences [steps, ...]");
    return layer_->variables(works_by_vector() ? x : Specs{{x[0].shape.without_front(), x[0].dtype}});
  }

  ValueId emit(const Emission& e) const override {
    if (works_by_vector()) return layer_->emit(e);
    const Shape& x = e.shape();
    const std::int64_t steps = x[1];
    Emission each = e;
    each.masks.clear();
    each.x[0] = e.graph.emit1("reshape", e.x,
                              ops::ReshapeAttrs{.row = x.without_front().without_front(), .steps = steps});
    const ValueIds made = layer_->emit_all(each);
    expects(made.size() == 1, cat("the ", layer_->type(), " returns ", made.size(), " values"));
    const Shape& y = e.graph.spec(made[0]).shape;
    return e.graph.emit1("reshape", {made[0]},
                         ops::ReshapeAttrs{.row = y.without_front().with_front(steps), .steps = -steps});
  }

  Json config() const override { return {{"layer", described(*layer_)}}; }

 private:
  Definition layer_;
};

Recurrent recurrent_of(const Layer& layer, SourceLocation where) {
  auto recurrent = std::dynamic_pointer_cast<const RecurrentLayer>(layer.shared_definition());
  if (recurrent == nullptr) {
    throw UsageError("Bidirectional: the layer must be a SimpleRNN, GRU or LSTM", where);
  }
  return recurrent;
}

}  // namespace

MergeMode merge_mode_from(std::string_view name) {
  for (const MergeName& known : kMergeModes) {
    if (known.name == name) return known.mode;
  }
  throw DataError(cat("Bidirectional: '", name, "' is not a known merge_mode"));
}

}  // namespace gpunn::nn

namespace gpunn {

Layer Bidirectional(const Layer& layer, BidirectionalOptions options, SourceLocation where) {
  const nn::Recurrent forward = nn::recurrent_of(layer, where);
  nn::Recurrent backward;
  if (options.backward_layer) {
    backward = nn::recurrent_of(*options.backward_layer, where);
  } else {
    nn::RecurrentOptions turned = forward->options();
    turned.go_backwards = !turned.go_backwards;
    backward = std::make_shared<nn::RecurrentLayer>(forward->units(), std::move(turned), forward->where());
  }
  return Layer(std::make_shared<nn::BidirectionalLayer>(forward, backward, options.merge_mode,
                                                        std::move(options.name), where));
}

Layer TimeDistributed(const Layer& layer, LayerOptions options, SourceLocation where) {
  if (layer.shared_definition() == nullptr)
    throw UsageError("TimeDistributed: an Input is not a layer", where);
  return Layer(
      std::make_shared<nn::TimeDistributedLayer>(layer.shared_definition(), std::move(options.name), where));
}

}  // namespace gpunn
