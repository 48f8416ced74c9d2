// Host code with one fault each. The result is 0 if the fault had no effect.
#pragma once

#include "simt/simt.hpp"

namespace simt_suite {

double missing_wait();           // between two streams
double missing_wait_often();     // the same, ten times
double missing_wait_in_graph();  // two branches of a graph
double source_reused();          // a pinned buffer, before its copy
double result_read_early();      // a pinned buffer, before its copy has arrived
double host_reads_device();
double use_after_free();
double use_after_async_free();
double use_before_async_malloc();
double freed_in_use();
double peer_without_access();
double call_in_host_function();

simt::Options two_devices();

}  // namespace simt_suite
