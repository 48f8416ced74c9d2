// Call counts, and faults by plan: the JSON of NVIDIA's cufaultinj.
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "call_log.hpp"

namespace simt {
namespace {

struct Rule {
  enum class Type { trap = 0, assertion = 1, code = 2 } type = Type::trap;
  double percent = 0;
  long long remaining = -1;  // matching calls still looked at; negative: all
  long long skip = 0;        // matching calls that pass first (our addition)
  cudaError_t code = cudaErrorUnknown;
};

std::map<std::string, Rule, std::less<>> rules;
std::map<std::string, std::uint64_t, std::less<>> counts;

Rule read_rule(const nlohmann::json& json) {
  Rule rule;
  const int type = json.at("injectionType").get<int>();
  if (type < 0 || type > 2) throw std::invalid_argument("simt: injectionType is 0, 1 or 2");
  rule.type = static_cast<Rule::Type>(type);
  rule.percent = json.value("percent", 100.0);
  rule.remaining = json.value("interceptionCount", -1LL);
  rule.skip = json.value("skip", 0LL);
  if (rule.type == Rule::Type::code)
    rule.code = static_cast<cudaError_t>(json.at("substituteReturnCode").get<int>());
  return rule;
}

// The names in plans are those of the profiler's callbacks, which may have a suffix for per-thread default
// streams.
std::string plain_name(std::string name) {
  for (const char* suffix : {"_ptsz", "_ptds"}) {
    if (name.ends_with(suffix)) name.resize(name.size() - 5);
  }
  // All spellings of a launch are one call here.
  return name == "cudaLaunchKernel" || name == "cudaLaunchKernelEx" ? "cudaLaunchKernelExC" : name;
}

}  // namespace

void load_faults(const std::string& text) {
  std::map<std::string, Rule, std::less<>> plan;
  if (!text.empty()) {
    try {
      const auto json = nlohmann::json::parse(text);
      if (json.contains("cudaRuntimeFaults")) {
        for (const auto& [name, rule] : json.at("cudaRuntimeFaults").items())
          plan[plain_name(name)] = read_rule(rule);
      }
    } catch (const nlohmann::json::exception& e) {
      throw std::invalid_argument(std::string("simt: a plan of faults that cannot be read: ") + e.what());
    }
  }
  rules = std::move(plan);
}

void inject_faults(std::string_view json) {
  const std::lock_guard guard(runtime().lock);
  start_once();
  load_faults(std::string(json));
}

Injection count_call(const char* name) {
  ++counts[name];
  ++counts["*"];
  auto it = rules.find(std::string_view(name));
  if (it == rules.end()) it = rules.find(std::string_view("*"));
  if (it == rules.end()) return {};
  Rule& rule = it->second;
  if (rule.skip > 0) return --rule.skip, Injection{};
  if (rule.remaining == 0) return {};
  if (rule.remaining > 0) --rule.remaining;
  if (runtime().random.uniform() * 100 >= rule.percent) return {};
  switch (rule.type) {
    case Rule::Type::trap:
      return {cudaSuccess, cudaErrorLaunchFailure};
    case Rule::Type::assertion:
      return {cudaSuccess, cudaErrorAssert};
    case Rule::Type::code:
      break;
  }
  return {rule.code, cudaSuccess};
}

std::uint64_t calls(std::string_view name) {
  const std::lock_guard guard(runtime().lock);
  const auto it = counts.find(name);
  return it == counts.end() ? 0 : it->second;
}

void clear_calls() {
  const std::lock_guard guard(runtime().lock);
  counts.clear();
}

}  // namespace simt
