#include "src/train/model_state.hpp"

#include <cstring>

#include "src/core/text.hpp"
#include "src/graph/devices.hpp"
#include "src/train/objectives.hpp"

namespace gpunn {

ModelState::ModelState(nn::Network net, ModelOptions opts, std::string kind_name, SourceLocation where)
    : network(std::move(net)), options(std::move(opts)), kind(std::move(kind_name)) {
  if (options.threads < 0) throw UsageError(cat("threads is ", options.threads), where);
  options.device = resolve_device(options.device, options.strict);
  if (options.name.empty()) options.name = kind == "Sequential" ? "sequential" : "functional";
  network.declare(variables);
}

void ModelState::initialize() {
  variables.allocate(false, 0);
  network.initialize(variables, options.seed);
}

void ModelState::allocate_training() {
  const int slots = train::slots(training->optimizer);
  // What was bound before has a device's copy of the variables without these buffers; a new copy takes over.
  const Store last = slots == 0 ? Store::gradients : slots == 1 ? Store::slot0 : Store::slot1;
  if (variables.base(Store::gradients) == nullptr || variables.base(last) == nullptr) steps.clear();
  variables.allocate(true, slots);
}

int ModelState::threads() const {
  return options.threads > 0 ? options.threads : available_cores();
}

const TrainingOptions& ModelState::compiled(const char* function, SourceLocation where) const {
  if (inference_only) throw UsageError(cat(function, ": this model is a clone for inference"), where);
  if (!training) throw UsageError(cat(function, ": call compile() first"), where);
  return *training;
}

Executable& ModelState::executable(const train::StepKey& key) {
  if (Executable* known = steps.find(key)) return *known;
  if (!pool_) pool_ = std::make_unique<ThreadPool>(threads());
  Graph graph = train::build_step(network, variables, training ? &*training : nullptr, key, options.device);
  return steps.add(key, gpunn::compile(std::move(graph), variables, *pool_, {.device = options.device}));
}

void ModelState::set_training(TrainingOptions chosen) {
  training = std::move(chosen);
  learning_rate = training->optimizer.learning_rate;
  step = epoch = 0;
  steps.clear();
  for (const Store slot : {Store::slot0, Store::slot1}) {
    if (std::byte* base = variables.base(slot)) std::memset(base, 0, variables.bytes(slot));
  }
}

}  // namespace gpunn
