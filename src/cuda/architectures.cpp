#include "src/cuda/architectures.hpp"

#include <charconv>

namespace gpunn::cuda {
namespace {

bool entry_runs_on(std::string_view entry, int capability) {
  int compiled = 0;
  const char* end = std::from_chars(entry.data(), entry.data() + entry.size(), compiled).ptr;
  const std::string_view rest = entry.substr(static_cast<std::size_t>(end - entry.data()));
  if (compiled == 0) return true;                                      // "native", "all"
  if (!rest.empty() && rest[0] == 'a') return capability == compiled;  // of one chip, PTX too
  const bool machine = !rest.ends_with("-virtual"), ptx = !rest.ends_with("-real");
  const bool same_family = capability / 10 == compiled / 10;
  const bool family_only = rest.starts_with('f');
  return capability >= compiled && ((machine && same_family) || (ptx && (same_family || !family_only)));
}

}  // namespace

bool runs_on(std::string_view compiled, int major, int minor) {
  while (!compiled.empty()) {
    const std::size_t end = compiled.find(' ');
    if (entry_runs_on(compiled.substr(0, end), major * 10 + minor)) return true;
    compiled = end == std::string_view::npos ? std::string_view() : compiled.substr(end + 1);
  }
  return false;
}

std::string why_not_on(std::string_view compiled, std::string_view device, int major, int minor) {
  if (runs_on(compiled, major, minor)) return {};
  const std::string number = std::to_string(major * 10 + minor);
  return std::string(device) + " is sm_" + number + ", but this build has device code for " +
         std::string(compiled) + " (configure with -DGPUNN_CUDA_ARCHITECTURES=" + number + ")";
}

}  // namespace gpunn::cuda
