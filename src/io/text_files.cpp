// Text from files: whole, by lines, or a column of a table.
#include <algorithm>

#include "gpunn/text.hpp"
#include "src/core/text.hpp"
#include "src/io/byte_source.hpp"
#include "src/io/csv_columns.hpp"
#include "src/io/utf8.hpp"

namespace gpunn::data {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string read_all(const std::filesystem::path& path, std::int64_t max_bytes) {
  constexpr std::size_t kPiece = 1 << 16;
  const auto source = io::open_bytes(path);
  std::string text;
  while (true) {
    const std::size_t had = text.size();
    text.resize(had + kPiece);
    const std::size_t got = source->read(std::as_writable_bytes(std::span(text).subspan(had)));
    text.resize(had + got);
    if (static_cast<std::int64_t>(text.size()) > max_bytes)
      throw DataError(cat(path.string(), ": more text than max_bytes allows"));
    if (got < kPiece) break;
  }
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

// Throws DataError with the line, and the byte in it.
[[noreturn]] void refuse(const std::filesystem::path& path, std::string_view text, std::size_t bad) {
  const std::string_view before = text.substr(0, bad);
  const std::size_t newline = before.rfind('\n');
  const std::size_t begin = newline == before.npos ? 0 : newline + 1;
  throw DataError(cat(path.string(), ":", std::ranges::count(before, '\n') + 1, ": ",
                      io::describe_invalid_utf8(text.substr(begin), bad - begin)));
}

bool is_tsv(const std::filesystem::path& path) {
  return path.extension() == ".tsv" || (path.extension() == ".gz" && path.stem().extension() == ".tsv");
}

std::string checked_field(const io::CsvReader& reader, const io::CsvRecord& record, std::size_t cell,
                          InvalidUtf8 how) {
  const std::string_view text = record[cell];
  const std::size_t bad = io::find_invalid_utf8(text);
  if (bad == text.npos) return std::string(text);
  if (how == InvalidUtf8::error) io::fail_at(reader, record, cell, io::describe_invalid_utf8(text, bad));
  return io::replace_invalid_utf8(text);
}

}  // namespace

std::string text_file(const std::filesystem::path& path, const TextOptions& options) {
  std::string text = read_all(path, options.max_bytes);
  const std::size_t bad = io::find_invalid_utf8(text);
  if (bad == text.npos) return text;
  if (options.invalid_utf8 == InvalidUtf8::error) refuse(path, text, bad);
  return io::replace_invalid_utf8(text);
}

std::vector<std::string> text_lines(const std::filesystem::path& path, const TextOptions& options) {
  const std::string text = text_file(path, options);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::size_t length = end - at;
    if (end < text.size() && length > 0 && text[end - 1] == '\r') --length;
    lines.push_back(text.substr(at, length));
    at = end + 1;
  }
  return lines;
}

TextTable text_table(const std::filesystem::path& path, const TextTableOptions& options) {
  const char delimiter = options.delimiter.value_or(is_tsv(path) ? '\t' : ',');
  if (delimiter == '"' || delimiter == '\n' || delimiter == '\r')
    throw UsageError("text_table: the delimiter must not be a quote or a line end");
  const auto source = io::open_bytes(path);
  io::CsvReader reader(*source, path.string(), delimiter, options.max_bytes,
                       options.quotes.value_or(delimiter != '\t'));
  for (int i = 0; i < options.skip_lines; ++i) reader.skip_line();

  io::CsvRecord record;
  if (!reader.next(record)) throw DataError(cat(path.string(), ": no rows"));
  const std::size_t width = record.cells.size();
  const std::size_t text = io::find_column(reader, record, options.text_column, options.header);
  const std::size_t label =
      options.label_column ? io::find_column(reader, record, *options.label_column, options.header) : width;
  if (options.header && !reader.next(record)) throw DataError(cat(path.string(), ": no rows"));

  TextTable table;
  io::LabelColumn labels(options.labels);
  do {
    if (record.cells.size() != width) {
      io::fail_at(reader, record, std::min(record.cells.size(), width),
                  cat(record.cells.size(), " fields in this row, ", width, " in the first"));
    }
    table.texts.push_back(checked_field(reader, record, text, options.invalid_utf8));
    if (options.label_column) labels.add(reader, record, label);
  } while (reader.next(record));
  if (options.label_column) table.y = labels.finish(table.classes);
  return table;
}

}  // namespace gpunn::data
