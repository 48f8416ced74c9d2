// Holds for every op, whoever added it: it can be computed wherever it is defined, and says what it costs.
#include <gtest/gtest.h>

#include "gpunn/cpu.hpp"
#include "src/cpu/registry.hpp"
#include "src/ops/registry.hpp"
#include "tests/reference/reference.hpp"

namespace gpunn::testing {
namespace {

TEST(Conformance, EveryOpHasACpuImplementationAndAReference) {
  const auto& registry = ops::Registry::instance();
  EXPECT_FALSE(registry.names().empty());
  for (const std::string_view name : registry.names()) {
    SCOPED_TRACE(name);
    // What a pass makes for one backend is tested there, against the ops that it stands for.
    if (registry.is_fused(name)) continue;
    EXPECT_TRUE(reference::Registry::instance().has(name));
    if (find_op(name).view) continue;
    EXPECT_NO_THROW(static_cast<void>(cpu::find_implementation(name)));
  }
}

TEST(Conformance, FlagsFitTheOutputs) {
  for (const std::string_view name : op_names()) {
    SCOPED_TRACE(name);
    const OpDef& op = find_op(name);
    EXPECT_EQ(op.accumulates >> op.outputs.size(), 0U) << "accumulates an output that it does not have";
    EXPECT_TRUE(!op.outputs.empty() || op.mutates != 0) << "has no effect";
  }
}

TEST(Conformance, UnknownNamesAreRefusedWithTheNearest) {
  try {
    find_op("sofmax");
    FAIL() << "no exception";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "there is no op 'sofmax'; the nearest is 'softmax'");
  }
  EXPECT_THROW(static_cast<void>(cpu::find_implementation("sofmax")), UsageError);
  EXPECT_THROW(register_op(find_op("softmax")), UsageError);
}

}  // namespace
}  // namespace gpunn::testing
