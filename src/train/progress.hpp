// What fit() and evaluate() show while they run, on standard error: Keras's bar on a terminal, else lines.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

#include "gpunn/model.hpp"

namespace gpunn::train {

class Progress {
 public:
  // `epochs` 0: an evaluation, without epochs.
  Progress(Verbose verbose, int epochs, std::int64_t steps, std::FILE* out = stderr);
  ~Progress() { close(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool silent() const { return verbose_ == Verbose::silent; }
  void begin_epoch(int epoch);
  // Whether anything should be shown now; cheap enough for every group of steps.
  bool due(std::int64_t step);
  void show(std::int64_t step, const Logs& logs);
  void end_epoch(std::int64_t step, const Logs& logs);
  // Ends the line of an unfinished bar, so that others may write.
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  std::string line(std::int64_t step, const Logs& logs, bool done) const;
  void write(const std::string& text) const;

  Verbose verbose_;
  int epochs_ = 0, epoch_ = 0;
  std::int64_t steps_ = 0;
  std::FILE* out_;
  Clock::time_point start_ = Clock::now(), shown_ = start_;
  std::int64_t next_look_ = 1;  // the step at which to look at the clock again
  bool open_ = false;           // a bar was drawn whose line has not ended
};

// " - loss: 0.1234", four decimals, or an exponent, as Keras prints them.
std::string format_logs(const Logs& logs);

}  // namespace gpunn::train
