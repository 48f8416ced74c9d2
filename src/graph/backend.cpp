#include "src/ir/backend.hpp"

#include <map>
#include <mutex>

#include "src/core/text.hpp"
#include "src/cpu/executor.hpp"
#include "src/graph/null_backend.hpp"

namespace gpunn {
namespace {

struct Backends {
  std::mutex guard;
  std::map<std::string, std::unique_ptr<Backend>, std::less<>> by_device;
};

Backends& backends() {
  static Backends& all = *[] {
    auto* made = new Backends;  // never destroyed: executables may outlive static objects
    made->by_device.emplace("cpu", cpu::make_backend());
    made->by_device.emplace("null", make_null_backend());
    return made;
  }();
  return all;
}

std::vector<std::string> names_to_run_on(const Backends& all) {
  std::vector<std::string> names;
  for (const auto& [name, backend] : all.by_device) {
    if (backend->runs()) names.push_back(name);
  }
  return names;
}

}  // namespace

void refuse_fallback(const OpCall& call, std::string_view layer, std::string_view fallback) {
  std::string shapes;
  for (const Spec& input : call.inputs) shapes += (shapes.empty() ? "" : ", ") + to_string(input.shape);
  throw DeviceError(cat(layer.empty() ? "" : cat(layer, ": "), call.op, " (inputs ", shapes, "): ", fallback,
                        "; strict refuses what stands in for something else"),
                    call.where);
}

const Backend& find_backend(std::string_view device, SourceLocation where) {
  Backends& all = backends();
  const std::scoped_lock lock(all.guard);
  const auto found = all.by_device.find(device);
  if (found != all.by_device.end()) return *found->second;
  std::string message = "there is no device '" + std::string(device) + "'; there are:";
  for (const std::string& name : names_to_run_on(all)) message += " " + name;
  std::string described;  // only once somebody has asked for a plan
  for (const auto& [name, backend] : all.by_device) {
    if (!backend->runs() && name != "null") described += " " + name;
  }
  if (!described.empty()) message += "; to plan for, also:" + described;
  throw DeviceError(message, where);
}

std::vector<std::string> backend_names() {
  Backends& all = backends();
  const std::scoped_lock lock(all.guard);
  return names_to_run_on(all);
}

bool has_backend(std::string_view device) {
  Backends& all = backends();
  const std::scoped_lock lock(all.guard);
  return all.by_device.find(device) != all.by_device.end();
}

void register_backend(std::string device, std::unique_ptr<Backend> backend) {
  Backends& all = backends();
  const std::scoped_lock lock(all.guard);
  if (!all.by_device.emplace(device, std::move(backend)).second) {
    throw UsageError("device '" + device + "' is registered already");
  }
}

}  // namespace gpunn
