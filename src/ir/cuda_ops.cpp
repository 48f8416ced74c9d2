// The CUDA implementations, by op. They are looked up by the CUDA backend, a library of its own; the table is
// here, so that an application can register its ops before (or without) loading that.

#include <map>
#include <mutex>
#include <string>

#include "gpunn/cuda.hpp"

namespace gpunn::cuda {
namespace {

struct Table {
  std::mutex guard;
  std::map<std::string, Implement, std::less<>> implementations;
};

Table& table() {
  static Table& made = *new Table;  // never destroyed, as the ops themselves
  return made;
}

}  // namespace

void register_op(std::string_view op, Implement implement) {
  const std::scoped_lock lock(table().guard);
  if (!table().implementations.emplace(op, implement).second) {
    throw UsageError("op '" + std::string(op) + "' already has an implementation on cuda");
  }
}

Implement find_implementation(std::string_view op) {
  const std::scoped_lock lock(table().guard);
  const auto found = table().implementations.find(op);
  return found == table().implementations.end() ? nullptr : found->second;
}

}  // namespace gpunn::cuda
