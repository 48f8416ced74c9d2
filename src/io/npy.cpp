#include "src/io/npy.hpp"

#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>

#include "src/core/text.hpp"
#include "src/io/pickle.hpp"

namespace gpunn::io {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie");

// The header is a Python literal: {'descr': '<i8', 'fortran_order': False, 'shape': (25000,), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  void parse(NpyArray& array) {
    bool descr = false, order = false, shape = false;
    take('{');
    while (!next_is('}')) {
      const std::string key = quoted();
      take(':');
      if (key == "descr" && !descr) {
        array.descr = quoted();  // records, which numpy writes as lists, are refused here
        descr = true;
      } else if (key == "fortran_order" && !order) {
        expect(word() == "False", "it is in column-major order");
        order = true;
      } else if (key == "shape" && !shape) {
        array.shape = tuple();
        shape = true;
      } else {
        expect(false, cat("its header has an entry ", in_quotes(key)));
      }
      if (!next_is('}')) take(',');
    }
    take('}');
    skip_blanks();
    expect(text_.empty() && descr && order && shape, "its header is not numpy's");
  }

 private:
  void expect(bool ok, const std::string& what) const {
    if (!ok) throw DataError(cat(where_, ": not an npy array that can be read: ", what));
  }
  void skip_blanks() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n')) text_.remove_prefix(1);
  }
  bool next_is(char c) {
    skip_blanks();
    return text_.starts_with(c);
  }
  void take(char c) {
    expect(next_is(c), cat("its header has no '", c, "' where one belongs"));
    text_.remove_prefix(1);
  }
  std::string quoted() {
    take('\'');
    const std::size_t end = text_.find('\'');
    expect(end != text_.npos, "a quote in its header is never closed");
    std::string result(text_.substr(0, end));
    text_.remove_prefix(end + 1);
    return result;
  }
  std::string_view word() {
    skip_blanks();
    std::size_t end = 0;
    while (end < text_.size() && ((text_[end] | 0x20) >= 'a' && (text_[end] | 0x20) <= 'z')) ++end;
    const std::string_view result = text_.substr(0, end);
    text_.remove_prefix(end);
    return result;
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> numbers;
    take('(');
    while (!next_is(')')) {
      std::int64_t number = -1;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), number);
      expect(error == std::errc() && number >= 0, "an extent is no number");
      numbers.push_back(number);
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      if (!next_is(')')) take(',');
    }
    take(')');
    return numbers;
  }

  std::string_view text_;
  const std::string& where_;
};

template <class T>
std::vector<std::int32_t> narrowed(const NpyArray& array, const std::string& where) {
  const auto count = static_cast<std::uint64_t>(array.shape[0]);
  if (array.data.size() / sizeof(T) != count || array.data.size() % sizeof(T) != 0) {
    throw DataError(
        cat(where, ": ", array.data.size(), " bytes are not ", count, " elements of ", array.descr));
  }
  std::vector<std::int32_t> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, array.data.data() + i * sizeof(T), sizeof(T));
    if (!std::in_range<std::int32_t>(value))
      throw DataError(cat(where, ": element ", i, " does not fit into 32 bits"));
    result[i] = static_cast<std::int32_t>(value);
  }
  return result;
}

void expect_one_axis(const NpyArray& array, const std::string& where) {
  if (array.shape.size() != 1) throw DataError(cat(where, ": ", array.shape.size(), " axes, not one"));
}

}  // namespace

NpyArray parse_npy(std::span<const std::byte> file, const std::string& where) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  const auto expect = [&](bool ok) {
    if (!ok) throw DataError(cat(where, ": not an npy array"));
  };
  expect(file.size() >= 10 && std::memcmp(file.data(), kMagic.data(), kMagic.size()) == 0);
  const int version = std::to_integer<int>(file[6]);
  expect(version >= 1 && version <= 3);
  std::uint32_t length = 0;
  const std::size_t length_bytes = version == 1 ? 2 : 4;
  expect(file.size() >= 8 + length_bytes);
  std::memcpy(&length, file.data() + 8, length_bytes);
  file = file.subspan(8 + length_bytes);
  expect(length <= file.size());
  NpyArray array;
  HeaderParser({reinterpret_cast<const char*>(file.data()), length}, where).parse(array);
  array.data = file.subspan(length);
  return array;
}

std::vector<std::int32_t> npy_integers(const NpyArray& array, const std::string& where) {
  expect_one_axis(array, where);
  if (array.descr == "<i8") return narrowed<std::int64_t>(array, where);
  if (array.descr == "<i4") return narrowed<std::int32_t>(array, where);
  if (array.descr == "<i2") return narrowed<std::int16_t>(array, where);
  if (array.descr == "|i1") return narrowed<std::int8_t>(array, where);
  if (array.descr == "|u1" || array.descr == "|b1") return narrowed<std::uint8_t>(array, where);
  if (array.descr == "<u2") return narrowed<std::uint16_t>(array, where);
  if (array.descr == "<u4") return narrowed<std::uint32_t>(array, where);
  if (array.descr == "<u8") return narrowed<std::uint64_t>(array, where);
  throw DataError(cat(where, ": elements of numpy's type ", in_quotes(array.descr), ", not whole numbers"));
}

std::vector<std::vector<std::int32_t>> npy_integer_lists(const NpyArray& array, const std::string& where) {
  expect_one_axis(array, where);
  if (array.descr != "|O")
    throw DataError(cat(where, ": elements of numpy's type ", in_quotes(array.descr), ", not lists"));
  return unpickle_integer_lists(array.data, array.shape[0], where);
}

}  // namespace gpunn::io
