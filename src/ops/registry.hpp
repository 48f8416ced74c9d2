// The ops, by name. Built-in ones come from ops.def at first use; others through gpunn::register_op.
#pragma once

#include "gpunn/graph.hpp"

namespace gpunn::ops {

class Registry {
 public:
  void add(OpDef def);  // throws UsageError when the name is taken
  const OpDef& find(std::string_view name) const;
  std::vector<std::string_view> names() const;
  static Registry& instance();

 private:
  std::vector<std::unique_ptr<OpDef>> ops_;  // pointers stay valid: nodes refer to them
};

// Each stem defines its ops (forward and backward) in one function: void define_<stem>(Registry&).
#define GPUNN_OP(stem) void define_##stem(Registry& registry);
#include "src/ops/ops.def"
#undef GPUNN_OP

}  // namespace gpunn::ops
