#include "access_log.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "executor.hpp"
#include "runtime.hpp"

extern "C" {
extern unsigned char __start_simt_shared[] __attribute__((weak));
extern unsigned char __stop_simt_shared[] __attribute__((weak));
}

namespace simt::access_log {
namespace {

constexpr std::uintptr_t kSector = 32;  // bytes that memory moves at least
constexpr std::uintptr_t kBanks = 32, kBankBytes = 4;

struct Lane {
  std::uintptr_t address;
  std::size_t bytes;
};

struct Request {
  Kind kind;
  bool shared;
  std::vector<Lane> lanes;
};

// (warp, site, how often the lane has been there) -> request; ordered, so that nothing depends on hashing.
std::map<std::array<std::uint64_t, 3>, Request> open_requests;
std::unordered_map<std::uint64_t, std::uint64_t> visits;  // (thread, site) -> count
std::vector<std::vector<std::uint64_t>> call_paths;       // per thread

bool inside(const void* p, const void* begin, std::size_t n) {
  return p >= begin && p < static_cast<const unsigned char*>(begin) + n;
}

bool is_shared(const void* p) {
  if (__start_simt_shared != nullptr && p >= __start_simt_shared && p < __stop_simt_shared) return true;
  return dynamic_shared() != nullptr && inside(p, dynamic_shared(), block.launch->dynamic_bytes);
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  return (a ^ b) * 0x9e3779b97f4a7c15u ^ a >> 29;
}

std::vector<std::uint64_t>& path() {
  if (call_paths.size() <= block.running->linear) call_paths.resize(block.running->linear + 1);
  return call_paths[block.running->linear];
}

void count_global(const Request& r) {
  std::set<std::uintptr_t> sectors;
  std::uint64_t bytes = 0;
  for (const Lane& lane : r.lanes) {
    bytes += lane.bytes;
    for (std::uintptr_t s = lane.address / kSector; s <= (lane.address + lane.bytes - 1) / kSector; ++s)
      sectors.insert(s);
  }
  Counters& c = *block.counters;
  const bool load = r.kind == Kind::load;
  ++(load ? c.global_load_requests : c.global_store_requests);
  (load ? c.global_load_sectors : c.global_store_sectors) += sectors.size();
  (load ? c.global_load_bytes : c.global_store_bytes) += bytes;
}

// Lanes that want different words of one bank wait for each other; the same word is broadcast. Accesses of 8
// and 16 bytes are made in 2 and 4 goes of half and quarter warps.
void count_shared(const Request& r) {
  const std::size_t widest = std::max_element(r.lanes.begin(), r.lanes.end(), [](auto& a, auto& b) {
                               return a.bytes < b.bytes;
                             })->bytes;
  const std::size_t goes = widest <= 4 ? 1 : widest <= 8 ? 2 : 4;
  const std::size_t per_go = (32 + goes - 1) / goes;
  std::uint64_t wavefronts = 0, needed = 0;
  for (std::size_t first = 0; first < r.lanes.size(); first += per_go) {
    std::array<std::set<std::uintptr_t>, kBanks> words;
    for (std::size_t i = first; i < std::min(first + per_go, r.lanes.size()); ++i) {
      const Lane& lane = r.lanes[i];
      for (std::uintptr_t w = lane.address / kBankBytes; w <= (lane.address + lane.bytes - 1) / kBankBytes;
           ++w) {
        words[w % kBanks].insert(w);
      }
    }
    std::size_t worst = 1;
    for (const auto& bank : words) worst = std::max(worst, bank.size());
    wavefronts += worst;
    ++needed;
  }
  Counters& c = *block.counters;
  ++c.shared_requests;
  c.shared_wavefronts += wavefronts;
  c.bank_conflicts += wavefronts - needed;
}

}  // namespace

void access(const void* address, std::size_t bytes, Kind kind, std::uint64_t site) {
  if (!in_kernel()) return;
  block.counters->accesses_counted = true;
  const bool shared = is_shared(address);
  // The rest is the thread's own: parameters, locals.
  if (!shared && find_allocation(address) == nullptr) return;
  const Thread& t = *block.running;
  if (!path().empty()) site = mix(site, path().back());
  const std::uint64_t visit = visits[mix(site, t.linear + 1)]++;
  Request& r = open_requests[{t.linear / 32, mix(site, static_cast<std::uint64_t>(kind)), visit}];
  r.kind = kind;
  r.shared = shared;
  r.lanes.push_back({reinterpret_cast<std::uintptr_t>(address), bytes});
}

void atomic(const void*, unsigned) {}  // counted one by one, not as requests

void enter(const void* caller) {
  if (!in_kernel()) return;
  auto& p = path();
  p.push_back(mix(p.empty() ? 1 : p.back(), reinterpret_cast<std::uintptr_t>(caller)));
}

void leave() {
  if (in_kernel() && !path().empty()) path().pop_back();
}

void flush() {
  for (const auto& [key, request] : open_requests)
    request.shared ? count_shared(request) : count_global(request);
  open_requests.clear();
  visits.clear();
}

}  // namespace simt::access_log
