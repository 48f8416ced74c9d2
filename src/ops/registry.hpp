// The ops, by name. Built-in ones come from ops.def at first use; others through gpunn::register_op.
#pragma once

#include <set>

#include "gpunn/graph.hpp"

namespace gpunn::ops {

class Registry {
 public:
  void add(OpDef def);  // throws UsageError when the name is taken
  // An op that only passes make, in place of others, where the backend computes it; no other need compute it.
  void add_fused(OpDef def);
  bool is_fused(std::string_view name) const { return fused_.count(name) > 0; }
  const OpDef& find(std::string_view name) const;
  std::vector<std::string_view> names() const;
  static Registry& instance();

 private:
  std::vector<std::unique_ptr<OpDef>> ops_;  // pointers stay valid: nodes refer to them
  std::set<std::string, std::less<>> fused_;
};

// Each stem defines its ops (forward and backward) in one function: void define_<stem>(Registry&).
#define GPUNN_OP(stem) void define_##stem(Registry& registry);
#include "src/ops/ops.def"
#undef GPUNN_OP

}  // namespace gpunn::ops
