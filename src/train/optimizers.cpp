#include "gpunn/optimizers.hpp"

#include <algorithm>

#include "src/core/text.hpp"
#include "src/ops/adam.hpp"
#include "src/ops/global_norm.hpp"
#include "src/ops/lazy_adam.hpp"
#include "src/ops/sgd.hpp"
#include "src/train/objectives.hpp"

namespace gpunn {

Optimizer SGD(SGDOptions o) {
  return {.kind = Optimizer::Kind::sgd,
          .learning_rate = o.learning_rate,
          .momentum = o.momentum,
          .nesterov = o.nesterov,
          .weight_decay = o.weight_decay,
          .global_clipnorm = o.global_clipnorm,
          .skip_nonfinite = o.skip_nonfinite};
}

Optimizer Adam(AdamOptions o) {
  return {.kind = Optimizer::Kind::adam,
          .learning_rate = o.learning_rate,
          .beta_1 = o.beta_1,
          .beta_2 = o.beta_2,
          .epsilon = o.epsilon,
          .weight_decay = o.weight_decay,
          .global_clipnorm = o.global_clipnorm,
          .skip_nonfinite = o.skip_nonfinite,
          .lazy_embeddings = o.lazy_embeddings};
}

Optimizer AdamW(AdamWOptions o) {
  return {.kind = Optimizer::Kind::adamw,
          .learning_rate = o.learning_rate,
          .beta_1 = o.beta_1,
          .beta_2 = o.beta_2,
          .epsilon = o.epsilon,
          .weight_decay = o.weight_decay,
          .global_clipnorm = o.global_clipnorm,
          .skip_nonfinite = o.skip_nonfinite};
}

namespace train {
namespace {

const char* name_of(Optimizer::Kind kind) {
  switch (kind) {
    case Optimizer::Kind::sgd:
      return "sgd";
    case Optimizer::Kind::adam:
      return "adam";
    case Optimizer::Kind::adamw:
      break;
  }
  return "adamw";
}

// What lazy updates take care of is frozen for the others.
ops::ParameterSegments segments_of(const VariableStore& store, const std::vector<LazyTable>& lazy) {
  ops::ParameterSegments segments;
  for (std::size_t i = 0; i < store.variables().size(); ++i) {
    const Variable& variable = store.variables()[i];
    if (!variable.trainable) continue;
    segments.push_back({.offset = static_cast<std::int64_t>(variable.offset / sizeof(float)),
                        .count = variable.spec.shape.elements(),
                        .frozen = std::any_of(lazy.begin(), lazy.end(), [&](const LazyTable& table) {
                          return table.variable == static_cast<int>(i);
                        })});
  }
  return segments;
}

}  // namespace

int slots(const Optimizer& optimizer) {
  if (optimizer.kind == Optimizer::Kind::sgd) return optimizer.momentum == 0 ? 0 : 1;
  return 2;
}

void check_learning_rate(double rate, SourceLocation where) {
  if (!(rate >= 0 && rate < 1e30)) throw UsageError(cat("learning rate ", rate), where);
}

void validate(const Optimizer& o, SourceLocation where) {
  const auto expect = [&](bool ok, const char* name, const char* range, double value) {
    if (!ok) throw UsageError(cat(name_of(o.kind), ": ", name, " must be ", range, ", not ", value), where);
  };
  expect(o.learning_rate >= 0 && o.learning_rate < 1e30, "learning_rate", "finite and not negative",
         o.learning_rate);
  expect(o.momentum >= 0 && o.momentum <= 1, "momentum", "from 0 to 1", o.momentum);
  expect(o.beta_1 >= 0 && o.beta_1 < 1, "beta_1", "at least 0 and below 1", o.beta_1);
  expect(o.beta_2 >= 0 && o.beta_2 < 1, "beta_2", "at least 0 and below 1", o.beta_2);
  expect(o.epsilon >= 0 && o.epsilon < 1e30, "epsilon", "finite and not negative", o.epsilon);
  expect(o.weight_decay >= 0 && o.weight_decay < 1e30, "weight_decay", "finite and not negative",
         o.weight_decay);
  const double clip = o.global_clipnorm.value_or(1);
  expect(clip > 0 && clip < 1e30, "global_clipnorm", "finite and positive", clip);
  if (o.lazy_embeddings && (o.weight_decay != 0 || o.global_clipnorm || o.skip_nonfinite)) {
    throw UsageError(
        "adam: lazy_embeddings cannot be combined with weight_decay, global_clipnorm or skip_nonfinite",
        where);
  }
}

void emit_optimizer(Graph& graph, const Optimizer& o, const VariableStore& store,
                    const std::vector<LazyTable>& lazy) {
  const ops::ParameterSegments segments = segments_of(store, lazy);
  if (segments.empty()) return;
  const auto elements = static_cast<std::int64_t>(store.bytes(Store::parameters) / sizeof(float));
  const auto buffer = [&](const char* name, Store place) {
    return graph.external(name, {Shape{elements}}, {place});
  };
  const ValueId parameters = buffer("parameters", Store::parameters);
  const ValueId gradients = buffer("gradients", Store::gradients);

  graph.set_layer("optimizer");
  ValueId norm = kNoValue;
  const auto clip = static_cast<float>(o.global_clipnorm.value_or(0));
  if (o.global_clipnorm || o.skip_nonfinite) {
    graph.set_segment(Segment::reduce);
    const ValueId squares = graph.emit1("squared_norms", {gradients}, ops::SquaredNormsAttrs{segments});
    norm = graph.emit1("global_norm", {squares});
  }
  graph.set_segment(Segment::update);
  const auto decay = static_cast<float>(o.weight_decay);
  if (o.kind == Optimizer::Kind::sgd) {
    const ValueId velocity = o.momentum == 0 ? kNoValue : buffer("momentum", Store::slot0);
    graph.emit("sgd", {parameters, gradients, velocity, norm},
               ops::SgdAttrs{.segments = segments,
                             .momentum = static_cast<float>(o.momentum),
                             .nesterov = o.nesterov,
                             .weight_decay = decay,
                             .clip_norm = clip,
                             .skip_nonfinite = o.skip_nonfinite});
  } else {
    graph.emit("adam", {parameters, gradients, buffer("m", Store::slot0), buffer("v", Store::slot1), norm},
               ops::AdamAttrs{.segments = segments,
                              .beta1 = static_cast<float>(o.beta_1),
                              .beta2 = static_cast<float>(o.beta_2),
                              .epsilon = static_cast<float>(o.epsilon),
                              .weight_decay = decay,
                              .decoupled = true,  // also for Keras's Adam
                              .clip_norm = clip,
                              .skip_nonfinite = o.skip_nonfinite});
    for (const LazyTable& table : lazy) {
      const Variable& variable = store.variables()[static_cast<std::size_t>(table.variable)];
      const auto part = [&](Store slot) {
        return graph.external(variable.name, variable.spec, {slot, variable.offset});
      };
      graph.emit("lazy_adam",
                 {table.ids, table.dy, part(Store::parameters), part(Store::slot0), part(Store::slot1)},
                 ops::LazyAdamAttrs{static_cast<float>(o.beta_1), static_cast<float>(o.beta_2),
                                    static_cast<float>(o.epsilon)});
    }
  }
}

nn::Json to_json(const Optimizer& o) {
  nn::Json json = {{"name", name_of(o.kind)}, {"learning_rate", o.learning_rate},
                   {"momentum", o.momentum},  {"nesterov", o.nesterov},
                   {"beta_1", o.beta_1},      {"beta_2", o.beta_2},
                   {"epsilon", o.epsilon},    {"weight_decay", o.weight_decay}};
  if (o.global_clipnorm) json["global_clipnorm"] = *o.global_clipnorm;
  if (o.lazy_embeddings) json["lazy_embeddings"] = true;
  if (o.skip_nonfinite) json["skip_nonfinite"] = true;
  return json;
}

Optimizer optimizer_from(const nn::Json& json) {
  const nn::ConfigReader config(json, "optimizer");
  Optimizer o;
  const std::string name = config.text("name", "");
  bool known = false;
  for (const auto kind : {Optimizer::Kind::sgd, Optimizer::Kind::adam, Optimizer::Kind::adamw}) {
    if (name_of(kind) == name) o.kind = kind, known = true;
  }
  if (!known) throw DataError(cat("there is no optimizer '", name, "'"));
  o.learning_rate = config.number("learning_rate", o.learning_rate);
  o.momentum = config.number("momentum", o.momentum);
  o.nesterov = config.boolean("nesterov", o.nesterov);
  o.beta_1 = config.number("beta_1", o.beta_1);
  o.beta_2 = config.number("beta_2", o.beta_2);
  o.epsilon = config.number("epsilon", o.epsilon);
  o.weight_decay = config.number("weight_decay", o.weight_decay);
  o.lazy_embeddings = config.boolean("lazy_embeddings", false);
  o.skip_nonfinite = config.boolean("skip_nonfinite", false);
  if (json.contains("global_clipnorm")) o.global_clipnorm = config.number("global_clipnorm", 0);
  return o;
}

}  // namespace train
}  // namespace gpunn
