#include "src/io/csv_reader.hpp"

#include <algorithm>
#include <utility>

#include "gpunn/error.hpp"
#include "src/core/text.hpp"

namespace gpunn::io {

CsvReader::CsvReader(ByteSource& source, std::string file, char delimiter, std::int64_t max_bytes,
                     bool quotes)
    : source_(source),
      file_(std::move(file)),
      delimiter_(delimiter),
      quotes_(quotes),
      bytes_left_(max_bytes),
      buffer_(1 << 16) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  fill();
  if (std::string_view(buffer_.data(), filled_).starts_with(kByteOrderMark))
    position_ = kByteOrderMark.size();
}

bool CsvReader::fill() {
  position_ = 0;
  filled_ = source_.read(std::as_writable_bytes(std::span(buffer_)));
  bytes_left_ -= static_cast<std::int64_t>(filled_);
  if (bytes_left_ < 0) throw DataError(cat(file_, ": more text than max_bytes allows"));
  return filled_ > 0;
}

int CsvReader::peek_byte() {
  if (position_ == filled_ && !fill()) return -1;
  return static_cast<unsigned char>(buffer_[position_]);
}

int CsvReader::next_byte() {
  const int byte = peek_byte();
  if (byte < 0) return byte;
  ++position_;
  if (byte == '\n') ++line_;
  return byte;
}

void CsvReader::skip_line() {
  for (int byte = next_byte(); byte >= 0 && byte != '\n'; byte = next_byte()) {
  }
}

bool CsvReader::next(CsvRecord& record) {
  record.text.clear();
  record.cells.clear();
  while (peek_byte() == '\n' || peek_byte() == '\r') take_line_end(record, "");
  if (peek_byte() < 0) return false;
  while (read_cell(record)) {
  }
  return true;
}

// Returns whether another cell follows on the line.
bool CsvReader::read_cell(CsvRecord& record) {
  const bool quoted = quotes_ && peek_byte() == '"';
  record.cells.push_back({.begin = record.text.size(), .end = 0, .line = line_, .quoted = quoted});
  if (quoted) {
    read_quoted(record);
  } else {
    read_plain(record);
  }
  record.cells.back().end = record.text.size();
  if (peek_byte() == static_cast<unsigned char>(delimiter_)) {
    next_byte();
    return true;
  }
  take_line_end(record, "text after a closing quote");
  return false;
}

void CsvReader::read_plain(CsvRecord& record) {
  for (int byte = peek_byte(); byte >= 0 && byte != '\n' && byte != '\r'; byte = peek_byte()) {
    if (byte == static_cast<unsigned char>(delimiter_)) return;
    if (quotes_ && byte == '"') fail(record, "a quote inside a field that does not begin with one");
    record.text += static_cast<char>(next_byte());
  }
}

void CsvReader::read_quoted(CsvRecord& record) {
  next_byte();
  while (true) {
    const int byte = next_byte();
    if (byte < 0) fail(record, "a quote that is never closed");
    if (byte == '"') {
      if (peek_byte() != '"') return;
      next_byte();  // doubled: one of them is text
    }
    record.text += static_cast<char>(byte);
  }
}

// LF, CRLF or the end of the file; `otherwise` says what is wrong if it is anything else.
void CsvReader::take_line_end(const CsvRecord& record, const char* otherwise) {
  int byte = next_byte();
  if (byte == '\r') {
    byte = next_byte();
    otherwise = "a carriage return that ends no line";
    if (byte < 0) fail(record, otherwise);
  }
  if (byte >= 0 && byte != '\n') fail(record, otherwise);
}

void CsvReader::fail(const CsvRecord& record, const char* what) const {
  const std::size_t cell = record.cells.empty() ? 0 : record.cells.size() - 1;
  throw DataError(cat(location(record, cell), ": ", what));
}

std::string CsvReader::location(const CsvRecord& record, std::size_t cell) const {
  const std::int64_t line =
      record.cells.empty() ? line_ : record.cells[std::min(cell, record.cells.size() - 1)].line;
  return cat(file_, ":", line, ":", cell + 1);
}

}  // namespace gpunn::io
