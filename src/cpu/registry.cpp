#include "src/cpu/registry.hpp"

#include <mutex>

namespace gpunn::cpu {
namespace {

std::mutex& guard() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

void Registry::add(std::string_view op, Implement implement) {
  if (!implementations_.emplace(op, implement).second) {
    throw UsageError("op '" + std::string(op) + "' already has an implementation on the cpu");
  }
}

Implement Registry::find(std::string_view op) const {
  const auto found = implementations_.find(op);
  if (found == implementations_.end()) {
    throw UsageError("op '" + std::string(op) + "' has no implementation on the cpu");
  }
  return found->second;
}

Registry& Registry::instance() {
  static Registry& registry = *[] {
    auto* made = new Registry;  // never destroyed, as the ops themselves
#define GPUNN_OP(stem) implement_##stem(*made);
#include "src/ops/ops.def"
#undef GPUNN_OP
    return made;
  }();
  return registry;
}

void register_op(std::string_view op, Implement implement) {
  const std::scoped_lock lock(guard());
  Registry::instance().add(op, implement);
}

Implement find_implementation(std::string_view op) {
  const std::scoped_lock lock(guard());
  return Registry::instance().find(op);
}

bool has_implementation(std::string_view op) {
  const std::scoped_lock lock(guard());
  return Registry::instance().has(op);
}

}  // namespace gpunn::cpu
