#include "kernels/activation.hpp"
#include "kernels/divider.hpp"
#include "kernels/gemm_shape.hpp"
#include "kernels/launch_shape.hpp"
#include "tests/kernels/lab.hpp"

namespace gpunn::kernels {
namespace {

TEST(LaunchShapeTest, ForEachCoversTheWorkAndNoMore) {
  static_assert(for_each_shape(0, 132).blocks == 0);
  static_assert(for_each_shape(1, 132).blocks == 1);
  static_assert(for_each_shape(256, 132).blocks == 1);
  static_assert(for_each_shape(257, 132).blocks == 2);
  static_assert(for_each_shape(std::int64_t{1} << 40, 132).blocks == 132 * kBlocksPerMultiprocessor);
  static_assert(for_each_shape(-1, 132).blocks == 0);
}

TEST(LaunchShapeTest, ChunksCoverTheLengthAndNoneIsEmpty) {
  for (std::int64_t length = 0; length < 3000; ++length) {
    for (const std::int64_t shortest : {1, 7, 64}) {
      for (const std::int64_t blocks : {1, 5, 600}) {
        const Chunks c = chunks_of(length, shortest, blocks);
        ASSERT_GE(c.count, 1);
        ASSERT_GE(c.count * c.length, length);
        if (length > 0) {
          ASSERT_LT((c.count - 1) * c.length, length) << length;
        }
        ASSERT_LE(c.count, std::max<std::int64_t>(1, kTargetBlocks / blocks));
      }
    }
  }
}

TEST(LaunchShapeTest, GemmTilesAndSlicesCoverTheProduct) {
  for (const std::int64_t m : {1, 32, 33, 64, 65, 1000}) {
    for (const std::int64_t n : {1, 31, 64, 129}) {
      for (const std::int64_t k : {0, 1, 511, 513, 21'632}) {
        const GemmTiling t = gemm_tiling(m, n, k);
        ASSERT_TRUE(t.micro == 2 || t.micro == 4);
        ASSERT_GE(t.tiles_m * t.micro * kTileThreads, m);
        ASSERT_GE(t.tiles_n * t.micro * kTileThreads, n);
        ASSERT_GE(t.slices.count * t.slices.length, k);
        ASSERT_EQ(gemm_scratch_floats(m, n, k) > 0, t.slices.count > 1);
      }
    }
  }
}

TEST(DividerTest, DividesLikeTheHardware) {
  const std::uint32_t last = 0x7fffffff;
  for (const std::int64_t d :
       {1L, 2L, 3L, 5L, 7L, 10L, 641L, 65'535L, 65'536L, 65'537L, 1'000'003L, 0x7fffffffL}) {
    const Divider divider(d);
    std::vector<std::uint32_t> numbers = {0, 1, last, last - 1};
    for (std::int64_t q = 1; q * d <= last && q < 2000; ++q) {
      numbers.push_back(static_cast<std::uint32_t>(q * d));
      numbers.push_back(static_cast<std::uint32_t>(q * d - 1));
    }
    for (std::int64_t q = last / d; q > 0 && q > last / d - 2000; --q) {
      numbers.push_back(static_cast<std::uint32_t>(q * d));
      numbers.push_back(static_cast<std::uint32_t>(q * d - 1));
    }
    for (const std::uint32_t n : numbers) {
      const auto [quotient, remainder] = divider.split(n);
      ASSERT_EQ(quotient, n / d) << n << " / " << d;
      ASSERT_EQ(remainder, n % d) << n << " % " << d;
    }
  }
}

TEST(LaunchTest, EmptyWorkLaunchesNothing) {
  simt::clear_launches();
  activation_forward({}, Activation::relu, 0, nullptr, nullptr);
  EXPECT_TRUE(simt::launches().empty());
}

TEST(LaunchTest, AFailedLaunchNamesTheKernelsFile) {
  simt::inject_faults(
      R"({"cudaRuntimeFaults": {"*": {"percent": 100, "injectionType": 2, "substituteReturnCode": 701}}})");
  try {
    Gpu gpu;
    activation_forward(gpu, Activation::relu, 4, nullptr, nullptr);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DeviceError& error) {
    EXPECT_NE(std::string(error.what()).find("cudaErrorLaunchOutOfResources"), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.where().file).find("activation.cu"), std::string::npos) << error.where().file;
  }
  simt::inject_faults("");
}

}  // namespace
}  // namespace gpunn::kernels
