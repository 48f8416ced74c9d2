// Options, seeds, launch records: what lasts longer than one launch.
#include "options.hpp"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "call_log.hpp"
#include "report.hpp"
#include "sanitizer.hpp"
#include "symbols.hpp"

namespace simt {

CUstream_st* make_legacy_stream(int device);
void forget_function_attributes();
bool is_architecture(int number);

namespace {

Options the_options;
std::uint64_t launch_number = 0;
std::vector<Counters>& records() {
  static std::vector<Counters> all;
  return all;
}

template <class T>
void read(const char* name, T& value, std::initializer_list<std::pair<const char*, T>> words) {
  const char* text = std::getenv(name);
  if (text == nullptr) return;
  for (const auto& [word, meaning] : words) {
    if (std::strcmp(word, text) == 0) {
      value = meaning;
      return;
    }
  }
  throw std::invalid_argument(std::string(name) + "=" + text + " is not understood");
}

void check(const Options& o) {
  if (o.devices < 0 || o.devices > 2) throw std::invalid_argument("simt: 0, 1 or 2 devices");
  if (!is_architecture(o.architecture)) throw std::invalid_argument("simt: unknown architecture");
}

void start(const Options& o) {
  check(o);
  the_options = o;
  forget_function_attributes();
  launch_number = 0;
  Runtime& rt = runtime();
  rt.random = Random(o.seed);
  rt.devices.resize(static_cast<std::size_t>(o.devices));
  for (int i = 0; i < o.devices; ++i) {
    Device& d = rt.devices[static_cast<std::size_t>(i)];
    d.sticky = cudaSuccess;
    d.peers.clear();
    static CUstream_st* legacy[2] = {};
    if (legacy[i] == nullptr) legacy[i] = make_legacy_stream(i);
    d.legacy = legacy[i];
  }
}

}  // namespace

Options Options::from_environment() {
  Options o;
  read("SIMT_ORDER", o.order,
       {{"forward", Order::forward}, {"reverse", Order::reverse}, {"random", Order::random}});
  read("SIMT_STREAMS", o.streams,
       {{"eager", Streams::eager}, {"lazy", Streams::lazy}, {"random", Streams::random}});
  read("SIMT_ON_FAULT", o.on_fault, {{"abort", OnFault::abort}, {"error", OnFault::error}});
  read("SIMT_CONCURRENT_BLOCKS", o.concurrent_blocks, {{"0", false}, {"1", true}});
  read("SIMT_IDENTITIES", o.identities, {{"thread", Identities::thread}, {"warp", Identities::warp}});
  read("SIMT_PERTURB_MATH", o.perturb_math, {{"0", false}, {"1", true}});
  if (const char* seed = std::getenv("SIMT_SEED")) o.seed = std::strtoull(seed, nullptr, 0);
  if (const char* devices = std::getenv("SIMT_DEVICES")) o.devices = std::atoi(devices);
  if (const char* number = std::getenv("SIMT_ARCHITECTURE")) o.architecture = std::atoi(number);
  return o;
}

const Options& options() {
  return the_options;
}

void start_once() {  // the lock is held
  static bool started = false;
  if (started) return;
  started = true;
  start(Options::from_environment());
  if (const char* path = std::getenv("FAULT_INJECTOR_CONFIG_PATH")) {
    std::ifstream file(path);
    if (!file) throw std::invalid_argument(std::string("simt: cannot read ") + path);
    load_faults({std::istreambuf_iterator<char>(file), {}});
  }
}

void set_options(const Options& o) {
  Runtime& rt = runtime();
  const std::lock_guard guard(rt.lock);
  const Unwatched unwatched;
  start_once();
  check(o);
  if (!rt.devices.empty()) drain(-1);
  start(o);
  if (thread_device() >= o.devices) thread_device() = 0;
  clear_reports();
}

std::uint64_t next_launch_seed() {
  return Random(the_options.seed * 0x2545f4914f6cdd1du + launch_number++).next();
}

Counters& begin_launch(const Grid& grid) {
  Counters c;
  c.kernel = kernel_name(grid.kernel);
  c.blocks = std::uint64_t{grid.grid.x} * grid.grid.y * grid.grid.z;
  c.threads = c.blocks * grid.block.x * grid.block.y * grid.block.z;
  records().push_back(std::move(c));
  return records().back();
}

const std::vector<Counters>& launches() {
  return records();
}
void clear_launches() {
  records().clear();
}

float perturbed(float result, float ulps) {
  if (!the_options.perturb_math || !in_kernel() || !std::isfinite(result) || result == 0) return result;
  const float ulp = std::nextafter(std::fabs(result), INFINITY) - std::fabs(result);
  return perturbed_by(result, ulps * ulp);
}

float perturbed_by(float result, float bound) {
  if (!the_options.perturb_math || !in_kernel() || !std::isfinite(result)) return result;
  // Truncation keeps the float within the bound.
  const double moved = result + bound * (2 * block.random.uniform() - 1);
  const float rounded = static_cast<float>(moved);
  return std::fabs(static_cast<double>(rounded) - result) <= bound ? rounded : result;
}

}  // namespace simt
