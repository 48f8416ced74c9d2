// The right kernels: no false alarm in any thread order, with any of 20 seeds, with perturbed maths.
#include "patterns.hpp"

#include "check.hpp"

namespace simt_suite {
namespace {

class RightKernel : public testing::TestWithParam<std::string> {
 protected:
  void TearDown() override { simt::set_options(simt::Options::from_environment()); }

  void expect_right(const simt::Options& o, const char* how) {
    simt::set_options(o);
    const Pattern& p = pattern(GetParam());
    EXPECT_LE(p.error(Fault::none), p.tolerance) << how << ", seed " << o.seed;
    EXPECT_EQ(simt::report_count(), 0u) << simt::last_report();
  }
};
std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Pattern& p : patterns()) all.push_back(p.name);
  return all;
}
INSTANTIATE_TEST_SUITE_P(Patterns, RightKernel, testing::ValuesIn(names()),
                         [](const auto& i) { return i.param; });

TEST_P(RightKernel, InForwardAndReverseOrder) {
  simt::Options o;
  expect_right(o, "forward");
  o.order = simt::Order::reverse;
  expect_right(o, "reverse");
}

TEST_P(RightKernel, InTwentyRandomOrdersOfThreadsAndStreams) {
  simt::Options o;
  o.order = simt::Order::random;
  for (o.seed = 1; o.seed <= 20; ++o.seed) {
    o.streams = o.seed % 2 == 0 ? simt::Streams::random : simt::Streams::lazy;
    expect_right(o, "random");
  }
}

TEST_P(RightKernel, WithPerturbedMaths) {
  simt::Options o;
  o.perturb_math = true;
  for (o.seed = 1; o.seed <= 3; ++o.seed) expect_right(o, "perturbed");
}

}  // namespace
}  // namespace simt_suite
