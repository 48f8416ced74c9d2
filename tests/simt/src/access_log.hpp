// Memory accesses of the running block, grouped into warp requests. Fed by the hooks of a counting build;
// otherwise it sees atomics only and costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simt::access_log {

enum class Kind : unsigned char { load, store, atomic };

// `site` tells source accesses apart; lanes that execute the same one equally often belong to one request.
void access(const void* address, std::size_t bytes, Kind kind, std::uint64_t site);
void atomic(const void* address, unsigned bytes);

// The calls that lead to an access are part of its site: a helper called from two places is two instructions.
void enter(const void* caller);
void leave();

void flush();  // a barrier: what was open is a request now

}  // namespace simt::access_log
