#include "src/ops/registry.hpp"

#include <algorithm>
#include <mutex>

namespace gpunn::ops {
namespace {

std::mutex& guard() {
  static std::mutex mutex;
  return mutex;
}

// Edit distance, for "did you mean".
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

void Registry::add(OpDef def) {
  const auto taken = [&](const auto& op) { return op->name == def.name; };
  if (std::any_of(ops_.begin(), ops_.end(), taken))
    throw UsageError("op '" + def.name + "' is already registered");
  if (def.infer == nullptr) throw UsageError("op '" + def.name + "' has no shape inference");
  ops_.push_back(std::make_unique<OpDef>(std::move(def)));
}

void Registry::add_fused(OpDef def) {
  fused_.insert(def.name);
  add(std::move(def));
}

const OpDef& Registry::find(std::string_view name) const {
  for (const auto& op : ops_) {
    if (op->name == name) return *op;
  }
  std::string message = "there is no op '" + std::string(name) + "'";
  const auto nearest = std::min_element(ops_.begin(), ops_.end(), [&](const auto& a, const auto& b) {
    return distance(a->name, name) < distance(b->name, name);
  });
  if (nearest != ops_.end()) message += "; the nearest is '" + (*nearest)->name + "'";
  throw UsageError(message);
}

std::vector<std::string_view> Registry::names() const {
  std::vector<std::string_view> names;
  for (const auto& op : ops_) names.push_back(op->name);
  return names;
}

Registry& Registry::instance() {
  static Registry& registry = *[] {
    auto* made = new Registry;  // never destroyed: ops may be looked up by static destructors
#define GPUNN_OP(stem) define_##stem(*made);
#include "src/ops/ops.def"
#undef GPUNN_OP
    return made;
  }();
  return registry;
}

}  // namespace gpunn::ops

namespace gpunn {

void register_op(OpDef def) {
  const std::scoped_lock lock(ops::guard());
  ops::Registry::instance().add(std::move(def));
}

const OpDef& find_op(std::string_view name) {
  const std::scoped_lock lock(ops::guard());
  return ops::Registry::instance().find(name);
}

std::vector<std::string_view> op_names() {
  const std::scoped_lock lock(ops::guard());
  return ops::Registry::instance().names();
}

}  // namespace gpunn
