// Memory accesses of the running block, grouped into warp requests. Fed by the hooks of a counting build;
// otherwise it sees atomics only and costs nothing.
#pragma once

namespace simt::access_log {

void atomic(const void* address, unsigned bytes);
void flush();  // a barrier: what was open is a request now

}  // namespace simt::access_log
