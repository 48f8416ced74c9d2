#pragma once

namespace simt {

// Where in the kernel's source something was called: std::source_location, which clang 14 lacks.
struct Location {
  const char* file = "";
  unsigned line = 0;

  static constexpr Location current(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
    return {file, line};
  }
  friend constexpr bool operator==(const Location& a, const Location& b) {
    return a.line == b.line && (a.file == b.file || __builtin_strcmp(a.file, b.file) == 0);
  }
};

}  // namespace simt
