// A file's name with gaps, as Python's format() fills them: "{epoch:02d}-{val_loss:.2f}.safetensors".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gpunn/callbacks.hpp"

namespace gpunn::train {

class PathPattern {
 public:
  // Throws UsageError for braces that it does not understand: {name}, {name:03d}, {name:8.2f} (e, g), {{, }}.
  explicit PathPattern(std::string_view pattern);

  // `epoch` stands for itself. Throws UsageError for a name that the logs do not have.
  std::string fill(std::int64_t epoch, const Logs& logs) const;

 private:
  struct Piece {
    std::string text;    // literally; or, where there is a name, its format for printf, empty: the shortest
    std::string name{};  // of a log
    bool integer = false;
  };
  Piece gap(std::string_view inside) const;

  std::string pattern_;
  std::vector<Piece> pieces_;
};

}  // namespace gpunn::train
