// Reports: what went wrong, in which kernel, and where every thread of the block is.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <tuple>

#include "executor.hpp"
#include "options.hpp"
#include "report.hpp"
#include "sanitizer.hpp"
#include "symbols.hpp"

namespace simt {
namespace {

std::string the_report;
std::size_t the_count = 0;
char report_token;  // reports are made by CUDA threads and read by host threads

std::string text(const uint3& v) {
  return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
}
std::string text(const Location& at) {
  return std::string(at.file) + ":" + std::to_string(at.line);
}

std::string waiting_for(const Thread& t) {
  switch (t.state) {
    case State::returned:
      return "have returned";
    case State::ready:
      return "run";
    case State::at_barrier:
      return "wait at a block barrier, " + text(t.where);
    case State::at_collective:
      break;
  }
  char mask[16];
  std::snprintf(mask, sizeof mask, "0x%08x", t.mask);
  return "wait at a warp collective, " + text(t.where) + ", mask " + mask;
}

// One line for all threads that are at the same place.
std::string where_threads_are() {
  std::map<std::string, std::pair<unsigned, unsigned>> places;  // -> first thread, how many
  for (unsigned i = 0; i < block.size; ++i) {
    auto [it, fresh] = places.try_emplace(waiting_for(*block.threads[i]), i, 0);
    ++it->second.second;
  }
  std::string lines;
  for (const auto& [place, who] : places) {
    lines += "  " + std::to_string(who.second) + (who.second == 1 ? " thread: " : " threads: ") + place +
             " (first: " + text(block.threads[who.first]->index) + ")\n";
  }
  return lines;
}

}  // namespace

void add_report(const std::string& report) {
  acquire(&report_token);
  the_report = report;
  ++the_count;
  std::fputs(report.c_str(), stderr);
  std::fflush(stderr);
  release(&report_token);
}

void clear_reports() {
  acquire(&report_token);
  the_report.clear();
  the_count = 0;
}

std::string last_report() {
  acquire(&report_token);
  return the_report;
}
std::size_t report_count() {
  return the_count;
}

void report_fault(cudaError_t code, const std::string& what, const Location& at) {
  std::string report = "simt: ";
  if (what.empty()) {
    report += "deadlock: not every thread reaches the same barrier\n";
  } else {
    report += what + "\n  at " + text(at) + "\n";
  }
  if (block.launch != nullptr) {
    report += "  kernel " + kernel_name(block.launch->kernel) + ", block " + text(blockIdx);
    if (in_kernel()) report += ", thread " + text(block.running->index);
    report += "\n" + where_threads_are();
  }
  add_report(report);
  if (options().on_fault == OnFault::abort || block.launch == nullptr) std::abort();
  block.faulted = true;
  block.fault = code;
}

void report_refusal(const std::string& reason, const void* kernel, const Location& at) {
  add_report("simt: launch refused: " + reason + "\n  kernel " + kernel_name(kernel) + "\n  at " + text(at) +
             "\n");
}

void report_damage(const std::string& what, const void* kernel) {
  add_report("simt: " + what + "\n  by kernel " + kernel_name(kernel) + "\n");
  if (options().on_fault == OnFault::abort) std::abort();
}

void fail(const char* what, const Location& at) {
  fail_with(cudaErrorLaunchFailure, what, at);
}

void fail_with(cudaError_t code, const std::string& what, const Location& at) {
  report_fault(code, what, at);
  for (;;) block.running->yield();  // the scheduler does not come back to a faulted block
}

}  // namespace simt
