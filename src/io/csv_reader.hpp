// RFC 4180 text, cut into records.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/io/byte_source.hpp"

namespace gpunn::io {

struct CsvRecord {
  struct Cell {
    std::size_t begin = 0, end = 0;  // in `text`
    std::int64_t line = 0;           // of the file, from 1: where it begins
    bool quoted = false;
  };
  std::string text;  // all fields, one after the other, without quotes
  std::vector<Cell> cells;

  std::string_view operator[](std::size_t i) const {
    return std::string_view(text).substr(cells[i].begin, cells[i].end - cells[i].begin);
  }
};

class CsvReader {
 public:
  // `max_bytes`: throws DataError when the text is longer. Without `quotes` a quote is a character like
  // others.
  CsvReader(ByteSource& source, std::string file, char delimiter, std::int64_t max_bytes, bool quotes = true);

  void skip_line();              // up to the next line feed, whatever it holds
  bool next(CsvRecord& record);  // false at the end; lines without any text are passed over

  const std::string& file() const { return file_; }
  // "file:line:column", where columns count fields from 1.
  std::string location(const CsvRecord& record, std::size_t cell) const;

 private:
  int next_byte();  // -1 at the end
  int peek_byte();
  bool fill();
  bool read_cell(CsvRecord& record);
  void read_plain(CsvRecord& record);
  void read_quoted(CsvRecord& record);
  void take_line_end(const CsvRecord& record, const char* otherwise);
  [[noreturn]] void fail(const CsvRecord& record, const char* what) const;

  ByteSource& source_;
  const std::string file_;
  const char delimiter_;
  const bool quotes_;
  std::int64_t bytes_left_;
  std::vector<char> buffer_;
  std::size_t position_ = 0, filled_ = 0;
  std::int64_t line_ = 1;
};

}  // namespace gpunn::io
