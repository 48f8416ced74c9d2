#include "src/cuda/recurrent_cudnn.hpp"

#include "kernels/elementwise.hpp"
#include "kernels/sequence.hpp"
#include "src/core/text.hpp"
#include "src/cuda/library_call.hpp"
#include "src/cuda/recurrent.hpp"
#include "src/cuda/registry.hpp"

namespace gpunn::cuda {
namespace {

using kernels::Accumulate;

enum Gradient : int { kDx, kDh0, kDc0, kDkernel, kDrecurrent, kDbias };

constexpr std::size_t kAlignment = 256;
constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// A part of a node's scratch, or none.
struct Part {
  std::size_t offset = 0, bytes = 0;
  float* of(const Launch& l) const {
    return bytes == 0 ? nullptr : reinterpret_cast<float*>(static_cast<std::byte*>(l.scratch) + offset);
  }
};
struct Parts {
  std::size_t bytes = 0;
  Part of_bytes(std::size_t wanted) {
    const Part part{bytes, wanted};
    bytes += aligned(wanted);
    return part;
  }
  Part of_floats(std::int64_t count, bool wanted = true) {
    return wanted ? of_bytes(static_cast<std::size_t>(count) * sizeof(float)) : Part{};
  }
};

// The sequence lies behind the reserve where it is no output.
std::size_t kept_bytes(const RecurrentCall& layer, const RnnSizes& sizes) {
  const auto y = static_cast<std::size_t>(layer.places() * layer.units()) * sizeof(float);
  return aligned(sizes.reserve) + (layer.attrs.sequence ? 0 : y);
}

std::optional<RnnCell> library_cell(const RecurrentCall& layer) {
  const ops::RecurrentAttrs& attrs = layer.attrs;
  switch (attrs.cell) {
    case ops::RecurrentCell::simple:
      if (attrs.activation == ops::Activation::relu) return RnnCell::relu;
      if (attrs.activation == ops::Activation::tanh) return RnnCell::tanh;
      return std::nullopt;
    case ops::RecurrentCell::gru:
      if (ops::has_default_activations(attrs)) return RnnCell::gru;
      return std::nullopt;
    case ops::RecurrentCell::gru_reset_before:
      return std::nullopt;
    case ops::RecurrentCell::lstm:
      break;
  }
  if (ops::has_default_activations(attrs)) return RnnCell::lstm;
  return std::nullopt;
}

// Whether cuDNN computes this layer, apart from where it keeps what.
std::optional<RecurrentLibrary> find(const RecurrentCall& layer, const OpCall& call, const Target& target,
                                     std::string& why) {
  const auto refuse = [&](const char* reason) {
    why = reason;
    return std::nullopt;
  };
  if (layer.units() <= kernels::kMostSequenceUnits) return refuse("");  // the plan names a reason already
  if (!target.libraries) return refuse("libraries are switched off");
  const std::optional<RnnCell> cell = library_cell(layer);
  if (!cell) return refuse("cuDNN's RNN has no such cell");
  if (ops::has(call, ops::kRecurrentMask)) return refuse("cuDNN's RNN takes no mask");
  if (layer.steps.state_masks > 0) return refuse("cuDNN's RNN has no dropout of the state");
  if (layer.input_masks > 1) return refuse("cuDNN's RNN has no dropout mask for each gate");
  RecurrentLibrary found;
  if (target.deterministic && !is_rnn_reproducible(why)) return std::nullopt;
  found.why = target.deterministic ? "cuDNN's RNN, reproducible by " + why : "cuDNN's RNN, not reproducible";
  found.rnn = {.cell = *cell,
               .batch = layer.shape().rows,
               .steps = layer.shape().steps,
               .input = layer.input,
               .units = layer.units(),
               .bias = layer.bias,
               .tf32 = target.tf32,
               .training = layer.attrs.keep};
  std::optional<OnDevice> here;
  if (target.ordinal >= 0) here.emplace(target.ordinal);
  const auto sizes = find_rnn(target, found.rnn, why);
  if (!sizes) return std::nullopt;
  found.sizes = *sizes;
  if (!sizes->asked) found.why += "; its memory is an upper bound of ours";
  return found;
}

// What both directions do to x, and what both need of memory.
struct Node {
  Node(const RecurrentCall& call, const RecurrentLibrary& by) : layer(call), library(by) {
    const std::int64_t features = layer.places() * layer.input;
    weights = parts.of_bytes(library.sizes.weights);
    workspace = parts.of_bytes(library.sizes.workspace);
    masked_x = parts.of_floats(features, masked());
    turned_x = parts.of_floats(features, layer.attrs.reversed);
  }

  RecurrentCall layer;
  RecurrentLibrary library;
  Parts parts;
  Part weights, workspace, masked_x, turned_x;

  bool masked() const { return layer.input_masks > 0; }
  kernels::SequenceShape input_shape() const {
    return {layer.shape().rows, layer.shape().steps, layer.input};
  }
  int input_launches() const { return (masked() ? 1 : 0) + (layer.attrs.reversed ? 1 : 0); }
  // What cuDNN starts is its own affair: at least one kernel for each step and one for all of them.
  int library_launches() const { return static_cast<int>(layer.shape().steps) + 1; }

  // x as the layer reads it: times its dropout, from the first step read to the last.
  const float* read_x(const Launch& l) const {
    const float* x = l.in(ops::kRecurrentX);
    if (masked()) {
      kernels::mask_features(gpu_of(l), layer.feature_masks(), l.in(ops::kRecurrentInputDropout), x,
                             masked_x.of(l));
      x = masked_x.of(l);
    }
    if (layer.attrs.reversed) {
      kernels::reverse(gpu_of(l), input_shape(), Accumulate::overwrite, x, turned_x.of(l));
      x = turned_x.of(l);
    }
    return x;
  }
  const float* pack(const Launch& l, const RnnPlan& plan) const {
    plan.clear_gaps(l.stream, weights.of(l));
    kernels::pack_rnn_weights(gpu_of(l), plan.weights(), l.in(ops::kRecurrentKernel),
                              l.in(ops::kRecurrentWeights), l.in(ops::kRecurrentBias), weights.of(l));
    return weights.of(l);
  }
  float* sequence_in(float* kept) const { return kept + aligned(library.sizes.reserve) / sizeof(float); }
};

template <class Run>
Implementation by_library(const Node& node, Implementation own, int launches, Run run) {
  LibraryCall call;
  call.name = "cudnn rnn";
  call.why = node.layer.why;
  call.scratch = node.parts.bytes;
  call.bind = [node, run, prepare_own = own.prepare](const Launch& l,
                                                     Libraries& libraries) -> LibraryCall::Bound {
    std::string why;
    const auto plan = RnnPlan::bind(libraries.cudnn(), node.library.rnn, node.library.sizes,
                                    static_cast<const std::int32_t*>(l.constants), node.weights.of(l), why);
    if (!plan) {
      if (prepare_own) prepare_own(l);
      return {{}, why, {}};
    }
    return {"cudnn rnn", node.layer.why,
            [node, run, plan = *plan](const Launch& now) { run(node, plan, now); }};
  };
  OwnKernel kernels;
  kernels.name = own.name, kernels.run = std::move(own.run);
  kernels.launches = own.launches, kernels.scratch = own.scratch;
  Implementation made = library_or_own(std::move(call), {}, std::move(kernels));
  made.launches = launches;
  made.constants = bytes_of(std::vector<std::int32_t>(static_cast<std::size_t>(node.library.rnn.batch),
                                                      static_cast<std::int32_t>(node.library.rnn.steps)));
  return made;
}

}  // namespace

std::optional<RecurrentLibrary> choose_recurrent_library(const RecurrentCall& layer, const OpCall& call,
                                                         const Target& target, std::string& why) {
  auto found = find(layer, call, target, why);
  if (!found || !layer.attrs.keep) return found;
  const bool backward = call.inputs.size() == ops::kRecurrentBackwardInputs;
  const Spec& kept = backward ? call.inputs[ops::kRecurrentKept] : call.outputs[ops::kRecurrentOutKept];
  if (kept.size_bytes() >= kept_bytes(layer, found->sizes)) return found;
  why = "the reserve of cuDNN's RNN has more than one reader";
  return std::nullopt;
}

std::int64_t recurrent_reserve(const OpCall& forward, const Target& target) {
  const RecurrentCall layer(forward, target);
  std::string why;
  const auto found = find(layer, forward, target, why);
  if (!found || !layer.attrs.keep) return 0;
  const auto floats = static_cast<std::int64_t>(kept_bytes(layer, found->sizes) / sizeof(float));
  return (floats + layer.places() - 1) / layer.places();
}

Implementation recurrent_forward_by_library(const RecurrentCall& layer, Implementation own) {
  Node node(layer, *layer.library);
  const std::int64_t sequence = layer.places() * layer.units();
  const Part y = node.parts.of_floats(sequence, !layer.attrs.sequence && !layer.attrs.keep);
  const int launches = 1 + node.input_launches() + node.library_launches();
  return by_library(node, std::move(own), launches, [y](const Node& n, const RnnPlan& plan, const Launch& l) {
    const ops::RecurrentAttrs& attrs = n.layer.attrs;
    float* kept = attrs.keep ? l.out(ops::kRecurrentOutKept) : nullptr;
    RnnForward f;
    f.x = n.read_x(l);
    f.h0 = l.in(ops::kRecurrentH0), f.c0 = l.in(ops::kRecurrentC0);
    f.weights = n.pack(l, plan);
    f.y = attrs.sequence ? l.out(ops::kRecurrentOutSequence) : attrs.keep ? n.sequence_in(kept) : y.of(l);
    f.h_last = l.out(ops::kRecurrentOutH);
    if (n.layer.lstm()) f.c_last = l.out(ops::kRecurrentOutC);
    plan.forward(l.stream, f, n.workspace.of(l), kept);
  });
}

namespace {

// The way back: cuDNN overwrites what it makes, of x as it read it.
struct BackwardParts {
  Part zero_dy, dx, turned_dx, dh0, dc0, dweights;
  bool wants_dx = false, h0 = false, c0 = false;

  int launches(const Node& n) const {
    int sum = 2 + (zero_dy.bytes > 0 ? 1 : 0) + (dh0.bytes > 0 ? 1 : 0) + (dc0.bytes > 0 ? 1 : 0);
    if (wants_dx && dx.bytes > 0) sum += turned_dx.bytes > 0 ? 2 : 1;
    return sum + n.input_launches() + 2 * n.library_launches();
  }

  // dx of what cuDNN read -> dx of x.
  void finish_dx(const Node& n, const Launch& l) const {
    if (!wants_dx || dx.bytes == 0) return;
    const float* from = dx.of(l);
    if (n.layer.attrs.reversed) {
      const bool more = n.masked();
      kernels::reverse(gpu_of(l), n.input_shape(), more ? Accumulate::overwrite : accumulate_of(l, kDx), from,
                       more ? turned_dx.of(l) : l.out(kDx));
      if (!more) return;
      from = turned_dx.of(l);
    }
    if (n.masked()) {
      kernels::mask_features_backward(gpu_of(l), n.layer.feature_masks(), accumulate_of(l, kDx),
                                      l.in(ops::kRecurrentInputDropout), from, l.out(kDx));
    } else {
      kernels::affine(gpu_of(l), {}, Accumulate::add, n.layer.places() * n.layer.input, from, l.out(kDx));
    }
  }
};

void run_backward(const BackwardParts& p, const Node& n, const RnnPlan& plan, const Launch& l) {
  const RecurrentCall& layer = n.layer;
  const std::int64_t states = layer.shape().rows * layer.units(), sequence = layer.places() * layer.units();
  // The reserve is an input of the node in name only: nobody else reads it.
  auto* kept = const_cast<float*>(l.in(ops::kRecurrentKept));
  RnnBackward b;
  b.x = n.read_x(l);
  b.h0 = l.in(ops::kRecurrentH0), b.c0 = l.in(ops::kRecurrentC0);
  b.weights = n.pack(l, plan);
  b.y = layer.attrs.sequence ? l.in(ops::kRecurrentSequence) : n.sequence_in(kept);
  b.dy = l.in(ops::kRecurrentDsequence);
  if (b.dy == nullptr) {
    kernels::fill(gpu_of(l), sequence, 0, p.zero_dy.of(l));
    b.dy = p.zero_dy.of(l);
  }
  b.dh_last = l.in(ops::kRecurrentDh), b.dc_last = l.in(ops::kRecurrentDc);
  b.dx = p.dx.bytes > 0 ? p.dx.of(l) : l.out(kDx);
  if (p.h0) b.dh0 = p.dh0.bytes > 0 ? p.dh0.of(l) : l.out(kDh0);
  if (p.c0) b.dc0 = p.dc0.bytes > 0 ? p.dc0.of(l) : l.out(kDc0);
  b.dweights = p.dweights.of(l);
  plan.backward(l.stream, b, n.workspace.of(l), kept);
  p.finish_dx(n, l);
  if (p.dh0.bytes > 0) kernels::affine(gpu_of(l), {}, Accumulate::add, states, b.dh0, l.out(kDh0));
  if (p.dc0.bytes > 0) kernels::affine(gpu_of(l), {}, Accumulate::add, states, b.dc0, l.out(kDc0));
  kernels::RnnGradients to{l.out(kDkernel), l.out(kDrecurrent), layer.bias ? l.out(kDbias) : nullptr};
  to.kernel_mode = accumulate_of(l, kDkernel), to.recurrent_mode = accumulate_of(l, kDrecurrent);
  to.bias_mode = accumulate_of(l, kDbias);
  kernels::unpack_rnn_gradients(gpu_of(l), plan.weights(), b.dweights, to);
}

}  // namespace

Implementation recurrent_backward_by_library(const RecurrentCall& layer, const OpCall& call,
                                             Implementation own) {
  Node node(layer, *layer.library);
  const std::int64_t states = layer.shape().rows * layer.units(), features = layer.places() * layer.input;
  const auto adds = [&](int k) { return accumulate_of(call, k) == Accumulate::add; };
  BackwardParts p;
  p.wants_dx = layer.attrs.input_gradient;
  p.h0 = ops::has(call, ops::kRecurrentH0), p.c0 = ops::has(call, ops::kRecurrentC0);
  p.zero_dy = node.parts.of_floats(layer.places() * layer.units(), !ops::has(call, ops::kRecurrentDsequence));
  p.dx = node.parts.of_floats(features, !p.wants_dx || adds(kDx) || node.masked() || layer.attrs.reversed);
  p.turned_dx = node.parts.of_floats(features, p.wants_dx && node.masked() && layer.attrs.reversed);
  p.dh0 = node.parts.of_floats(states, p.h0 && adds(kDh0));
  p.dc0 = node.parts.of_floats(states, p.c0 && adds(kDc0));
  p.dweights = node.parts.of_bytes(layer.library->sizes.weights);
  return by_library(
      node, std::move(own), p.launches(node),
      [p](const Node& n, const RnnPlan& plan, const Launch& l) { run_backward(p, n, plan, l); });
}

}  // namespace gpunn::cuda
