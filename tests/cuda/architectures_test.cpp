// Which GPUs a build takes, by the rules of the CUDA programming guide.
#include "src/cuda/architectures.hpp"

#include <gtest/gtest.h>

namespace gpunn::cuda {
namespace {

TEST(Architectures, MachineCodeRunsFromItsMinorVersionOn) {
  EXPECT_TRUE(runs_on("80-real", 8, 0));
  EXPECT_TRUE(runs_on("80-real", 8, 9));
  EXPECT_FALSE(runs_on("86-real", 8, 0));
  EXPECT_FALSE(runs_on("80-real", 9, 0));
  EXPECT_FALSE(runs_on("75-real 80-real 90-real", 7, 0));
  EXPECT_TRUE(runs_on("75-real 80-real 90-real", 9, 0));
  EXPECT_FALSE(runs_on("", 9, 0));
}

TEST(Architectures, PtxRunsOnEveryLaterDevice) {
  EXPECT_TRUE(runs_on("90", 9, 0));
  EXPECT_TRUE(runs_on("90", 12, 0));
  EXPECT_TRUE(runs_on("75-virtual", 7, 5));
  EXPECT_FALSE(runs_on("90", 8, 9));
}

TEST(Architectures, ALetterBindsToTheChipOrItsFamily) {
  EXPECT_TRUE(runs_on("90a", 9, 0));
  EXPECT_FALSE(runs_on("90a", 10, 0));
  EXPECT_TRUE(runs_on("100f", 10, 3));
  EXPECT_FALSE(runs_on("100f", 12, 0));
  EXPECT_FALSE(runs_on("100f-real", 11, 0));
}

TEST(Architectures, WordsAreTakenToFit) {
  for (const char* words : {"native", "all", "all-major"}) EXPECT_TRUE(runs_on(words, 8, 9)) << words;
}

TEST(Architectures, TheReasonNamesBoth) {
  EXPECT_EQ(why_not_on("90", "cuda:0", 9, 0), "");
  EXPECT_EQ(why_not_on("90", "cuda:1", 8, 9),
            "cuda:1 is sm_89, but this build has device code for 90 (configure with "
            "-DGPUNN_CUDA_ARCHITECTURES=89)");
}

}  // namespace
}  // namespace gpunn::cuda
