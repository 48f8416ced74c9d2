// What a run shows: lines for files, a bar for terminals.

#include "src/train/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpunn {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

template <class F>
std::string written(F&& show) {
  std::FILE* file = std::tmpfile();
  show(file);
  std::rewind(file);
  std::string text(10000, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

Logs some_logs() {
  Logs logs;
  logs.set("loss", 0.12345);
  logs.set("accuracy", 0.5);
  logs.set("val_loss", 0.00012345);
  return logs;
}

TEST(Progress, LinesInAFile) {
  const std::string text = written([](std::FILE* file) {
    train::Progress progress(Verbose::automatic, 3, 125, file);
    progress.begin_epoch(1);
    progress.end_epoch(125, some_logs());
  });
  EXPECT_THAT(text, MatchesRegex("Epoch 2/3 - 125/125 - 0s [0-9]+us/step - loss: 0.1235 - accuracy: 0.5000 - "
                                 "val_loss: 1.2345e-04\n"));
}

TEST(Progress, ABarOnATerminal) {
  const std::string text = written([](std::FILE* file) {
    train::Progress progress(Verbose::bar, 3, 125, file);
    progress.begin_epoch(0);
    progress.show(5, some_logs());
    progress.end_epoch(125, some_logs());
  });
  EXPECT_THAT(text, HasSubstr("Epoch 1/3\n\r"));
  EXPECT_THAT(text, HasSubstr("  5/125"));
  EXPECT_THAT(text, HasSubstr("━"));
  EXPECT_EQ(text.back(), '\n');
}

TEST(Progress, SilenceIsSilent) {
  EXPECT_EQ(written([](std::FILE* file) {
              train::Progress progress(Verbose::silent, 3, 125, file);
              progress.begin_epoch(0);
              EXPECT_FALSE(progress.due(10));
              progress.show(1, some_logs());
              progress.end_epoch(125, some_logs());
            }),
            "");
}

}  // namespace
}  // namespace gpunn
