// The CPU implementations, by op. Built-in ones come from ops.def at first use; others through
// cpu::register_op.
#pragma once

#include <map>
#include <string>

#include "gpunn/cpu.hpp"

namespace gpunn::cpu {

class Registry {
 public:
  void add(std::string_view op, Implement implement);
  Implement find(std::string_view op) const;
  bool has(std::string_view op) const { return implementations_.find(op) != implementations_.end(); }
  static Registry& instance();

 private:
  std::map<std::string, Implement, std::less<>> implementations_;
};

// Each stem registers its ops in one function: void implement_<stem>(Registry&).
#define GPUNN_OP(stem) void implement_##stem(Registry& registry);
#include "src/ops/ops.def"
#undef GPUNN_OP

}  // namespace gpunn::cpu
