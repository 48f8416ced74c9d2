// Columns of a CSV file: found by name or number, and read as numbers or labels.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gpunn/data.hpp"
#include "src/io/csv_reader.hpp"

namespace gpunn::io {

[[noreturn]] void fail_at(const CsvReader& reader, const CsvRecord& record, std::size_t cell,
                          const std::string& what);  // DataError "file:line:column: what"

std::string_view trimmed(std::string_view text);  // without blanks and tabs around it

// The place of a column, by the first record. Throws DataError when there is none or there are two,
// UsageError for a name without a header.
std::size_t find_column(const CsvReader& reader, const CsvRecord& first, const data::CsvColumn& column,
                        bool header);

// Throws DataError unless the field is a number that a float holds.
float csv_number(const CsvReader& reader, const CsvRecord& record, std::size_t cell);

class LabelColumn {
 public:
  explicit LabelColumn(data::CsvOptions::Labels kind) : kind_(kind) {}
  void add(const CsvReader& reader, const CsvRecord& record, std::size_t cell);
  // [rows]; `classes` gets the names, if labels are names.
  Tensor finish(std::vector<std::string>& classes);

 private:
  data::CsvOptions::Labels kind_;
  std::vector<float> numbers_;
  std::vector<std::int32_t> classes_;
  std::map<std::string, std::int32_t> names_;
};

}  // namespace gpunn::io
