#include "src/train/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "src/core/text.hpp"

namespace gpunn::train {
namespace {

constexpr double kRedrawSeconds = 0.1;  // of the bar
constexpr double kLineSeconds = 5;      // between lines
constexpr double kLookSeconds = 0.02;   // between looks at the clock, about

std::string format(const char* pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

// "1:02:03", "2:05" or "5s"
std::string duration(double seconds) {
  const auto whole = static_cast<long>(seconds);
  char text[64];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
  } else if (whole >= 60) {
    std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%lds", whole);
  }
  return text;
}

std::string per_step(double seconds) {
  if (seconds >= 1) return format("%.0fs/step", seconds);
  if (seconds >= 1e-3) return format("%.0fms/step", seconds * 1e3);
  return format("%.0fus/step", seconds * 1e6);
}

std::string bar(double share) {
  constexpr int kWidth = 20;
  const int full = static_cast<int>(share * kWidth);
  std::string text = "\x1b[32m";
  for (int i = 0; i < full; ++i) text += "━";
  text += "\x1b[37m";
  for (int i = full; i < kWidth; ++i) text += "━";
  return text + "\x1b[0m";
}

}  // namespace

std::string format_logs(const Logs& logs) {
  std::string text;
  for (const auto& [name, value] : logs.items()) {
    const bool small = std::abs(value) <= 1e-3 && value != 0;
    text += " - " + name + ": " + format(small ? "%.4e" : "%.4f", value);
  }
  return text;
}

Progress::Progress(Verbose verbose, int epochs, std::int64_t steps, std::FILE* out)
    : verbose_(verbose), epochs_(epochs), steps_(steps), out_(out) {
  if (verbose_ == Verbose::automatic) verbose_ = isatty(fileno(out)) ? Verbose::bar : Verbose::lines;
}

void Progress::begin_epoch(int epoch) {
  if (silent()) return;
  epoch_ = epoch;
  start_ = shown_ = Clock::now();
  next_look_ = 1;
  if (verbose_ == Verbose::bar && epochs_ > 0) write(cat("Epoch ", epoch + 1, "/", epochs_, "\n"));
}

bool Progress::due(std::int64_t step) {
  if (silent() || step < next_look_) return false;
  const double now = seconds();
  // As many steps ahead as take about kLookSeconds at the rate so far.
  next_look_ =
      step + std::max<std::int64_t>(1, static_cast<std::int64_t>(kLookSeconds * static_cast<double>(step) /
                                                                 std::max(now, 1e-9)));
  const double since = std::chrono::duration<double>(Clock::now() - shown_).count();
  return since >= (verbose_ == Verbose::bar ? kRedrawSeconds : kLineSeconds);
}

std::string Progress::line(std::int64_t step, const Logs& logs, bool done) const {
  const double spent = seconds();
  const double each = spent / static_cast<double>(std::max<std::int64_t>(step, 1));
  const double left = each * static_cast<double>(steps_ - step);
  const std::string counter =
      cat(std::string(std::to_string(steps_).size() -
                          std::min(std::to_string(steps_).size(), std::to_string(step).size()),
                      ' '),
          step, "/", steps_);
  if (verbose_ == Verbose::bar) {
    const double share = steps_ == 0 ? 1 : static_cast<double>(step) / static_cast<double>(steps_);
    return cat("\r\x1b[K\x1b[1m", counter, "\x1b[0m ", bar(share), " \x1b[1m", duration(done ? spent : left),
               "\x1b[0m ", per_step(each), format_logs(logs), done ? "\n" : "");
  }
  const std::string epoch = epochs_ > 0 ? cat("Epoch ", epoch_ + 1, "/", epochs_, " - ") : std::string();
  return cat(epoch, counter, " - ", duration(spent), " ", per_step(each), format_logs(logs), "\n");
}

void Progress::show(std::int64_t step, const Logs& logs) {
  if (silent()) return;
  shown_ = Clock::now();
  write(line(step, logs, false));
  open_ = verbose_ == Verbose::bar;
}

void Progress::end_epoch(std::int64_t step, const Logs& logs) {
  if (silent()) return;
  write(line(step, logs, true));
  open_ = false;
}

void Progress::close() {
  if (open_) write("\n");
  open_ = false;
}

void Progress::write(const std::string& text) const {
  std::fwrite(text.data(), 1, text.size(), out_);
  std::fflush(out_);
}

}  // namespace gpunn::train
