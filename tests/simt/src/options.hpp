#pragma once

#include "executor.hpp"
#include "simt/simt.hpp"

namespace simt {

std::uint64_t next_launch_seed();
Counters& begin_launch(const Grid& grid);

}  // namespace simt
