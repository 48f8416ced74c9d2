#pragma once

#include <string>

#include "simt/location.hpp"

namespace simt {

void add_report(const std::string& report);
void clear_reports();
// A launch that was not made; the call returns the code, so the process goes on.
void report_refusal(const std::string& reason, const void* kernel, const Location& at);
// Found after the kernel: no thread can be named.
void report_damage(const std::string& what, const void* kernel);

int running_device();  // of the operation that runs

}  // namespace simt
