// trace DEVICE FILE [STEPS]: trains both example networks on a device and writes every loss and weight, bit
// for bit.
#include <cstdio>
#include <cstdlib>

#include "tests/gpu/devices.hpp"
#include "tests/gpu/networks.hpp"

int main(int argc, char** argv) {
  using namespace gpunn::tests;
  if (argc < 3) return std::fprintf(stderr, "usage: trace DEVICE FILE [STEPS]\n"), 2;
  const int steps = argc > 3 ? std::atoi(argv[3]) : 20;
  try {
    register_devices();
    std::FILE* file = std::fopen(argv[2], "w");
    if (file == nullptr) return std::fprintf(stderr, "trace: cannot write %s\n", argv[2]), 1;
    const auto write = [&](const char* network, const gpunn::Trained& run) {
      for (const double loss : run.losses) std::fprintf(file, "%s loss %a\n", network, loss);
      for (const float weight : run.weights) std::fprintf(file, "%s weight %a\n", network, double{weight});
    };
    write("ffn", trace_ffn(argv[1], steps));
    write("cnn", trace_cnn(argv[1], steps));
    return std::fclose(file) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "trace: %s\n", error.what()), 1;
  }
}
