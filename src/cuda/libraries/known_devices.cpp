#include "src/cuda/libraries/known_devices.hpp"

namespace gpunn::cuda {
namespace {

constexpr std::int64_t kMiB = 1 << 20;
constexpr KnownDevice kDevices[] = {
    {"T4", 75, 40, 65'536, 0, 16, 1024, 15'660'000'000, 1'590'000, 5'001'000, 4 * kMiB},
    {"A100", 80, 108, 166'912, 1024, 32, 2048, 84'990'000'000, 1'410'000, 1'593'000, 40 * kMiB},
    {"L4", 89, 58, 101'376, 1024, 24, 1536, 23'660'000'000, 2'040'000, 6'251'000, 48 * kMiB},
    {"H100", 90, 132, 232'448, 1024, 32, 2048, 85'045'084'160, 1'980'000, 2'619'000, 50 * kMiB},
    {"B200", 100, 148, 232'448, 1024, 32, 2048, 191'500'000'000, 1'965'000, 3'996'000, 126 * kMiB},
    {"RTX 5090", 120, 170, 101'376, 1024, 24, 1536, 33'660'000'000, 2'407'000, 14'001'000, 96 * kMiB},
};

}  // namespace

std::span<const KnownDevice> known_devices() {
  return kDevices;
}

std::string cudnn_json(const KnownDevice& d) {
  std::string json;
  const auto add = [&](const char* key, const std::string& value) {
    json += (json.empty() ? "{\"" : ",\"") + std::string(key) + "\":" + value;
  };
  const auto number = [&](const char* key, std::int64_t value) { add(key, std::to_string(value)); };
  add("maxGridSize", "[2147483647,65535,65535]");
  add("maxBlockSize", "[1024,1024,64]");
  number("regsPerBlock", 65'536);
  number("multiProcessorCount", d.multiprocessors);
  number("warpSize", 32);
  number("maxSharedMemoryPerBlock", 49'152);
  number("maxSharedMemoryPerBlockOptin", d.shared_per_block);
  number("reservedSharedMemoryPerBlock", d.shared_reserved);
  number("maxRegistersPerSM", 65'536);
  number("maxCtasPerSM", d.blocks_per_multiprocessor);
  number("maxThreadsPerBlock", 1024);
  number("maxThreadsPerSM", d.threads_per_multiprocessor);
  number("pciDeviceId", 0);
  number("isTccDriver", 0);
  number("supportCoopLaunch", 1);
  number("totalGlobalMem", d.memory);
  number("smClockRateKHz", d.clock_khz);
  number("memClockRateKHz", d.memory_clock_khz);
  number("l2CacheSize", d.l2_bytes);
  number("cudaDeviceId", 0);
  number("deviceVer", d.architecture * 10);
  number("driverVer", 13'000);
  add("deviceName", "\"NVIDIA " + std::string(d.name) + "\"");
  return json + "}";
}

}  // namespace gpunn::cuda
