#include "src/train/model_state.hpp"

#include "src/core/log.hpp"
#include "src/core/text.hpp"
#include "src/graph/devices.hpp"
#include "src/train/objectives.hpp"

namespace gpunn {

namespace {

// Once per process, device and choice.
void tell_choices(const Policy& asked, const std::string& device) {
  const Policy effect = find_backend(device).in_effect(asked);
  const auto tell = [](const std::string& message) { log_once(message, LogLevel::info, message); };
  if (asked.allow_tf32) {
    tell(effect.allow_tf32
             ? cat("allow_tf32: on ", device, " products and convolutions of the libraries may round to TF32")
             : cat("allow_tf32 changes nothing: ", device, " computes in fp32"));
  }
  if (!asked.deterministic) {
    tell(effect.deterministic
             ? cat("deterministic = false changes nothing: ", device, " gives the same bits every time")
             : cat("deterministic = false: on ", device, " equal seeds need not give equal bits"));
  }
}

}  // namespace

ModelState::ModelState(nn::Network net, ModelOptions opts, std::string kind_name, SourceLocation where)
    : network(std::move(net)), options(std::move(opts)), kind(std::move(kind_name)) {
  if (options.threads < 0) throw UsageError(cat("threads is ", options.threads), where);
  options.device = resolve_device(options.device, options.strict, where);
  tell_choices(policy(), options.device);
  if (options.name.empty()) options.name = kind == "Sequential" ? "sequential" : "functional";
  network.declare(variables);
}

void ModelState::initialize() {
  variables.allocate(false, 0);
  network.initialize(variables, options.seed);
}

void ModelState::allocate_training() {
  variables.allocate(true, train::slots(training->optimizer));
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
  return steps.add(key, gpunn::compile(std::move(graph), variables, *pool_,
                                       {.device = options.device, .policy = policy()}));
}

void ModelState::set_training(TrainingOptions chosen) {
  training = std::move(chosen);
  learning_rate = training->optimizer.learning_rate;
  step = epoch = 0;
  steps.clear();
  variables.clear(Store::slot0);
  variables.clear(Store::slot1);
}

}  // namespace gpunn
