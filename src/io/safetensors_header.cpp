#include "src/io/safetensors_header.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "src/core/text.hpp"

namespace gpunn::io {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::pair<std::string_view, Dtype>, 8> kDtypes{{{"F32", Dtype::f32},
                                                                     {"F64", Dtype::f64},
                                                                     {"BF16", Dtype::bf16},
                                                                     {"F16", Dtype::f16},
                                                                     {"I32", Dtype::i32},
                                                                     {"I64", Dtype::i64},
                                                                     {"U8", Dtype::u8},
                                                                     {"BOOL", Dtype::boolean}}};

constexpr std::string_view kMetadataKey = "__metadata__";

// Receives the parser's events and builds the header directly: no tree is made, so depth and size of hostile
// input cost nothing, and a key that occurs twice is seen.
class HeaderBuilder {
 public:
  explicit HeaderBuilder(std::string file) : file_(std::move(file)) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool number_integer(Json::number_integer_t) { return unexpected("a negative number"); }
  bool number_float(Json::number_float_t, const std::string&) {
    return unexpected("a number that is not whole");
  }
  bool binary(Json::binary_t&) { return unexpected("binary data"); }

  bool number_unsigned(Json::number_unsigned_t value) {
    if (place_ != Place::list) return unexpected("a number");
    const std::size_t most = key_ == "shape" ? Shape::kMaxRank : 2;
    if (numbers_.size() == most) fail(cat("more than ", most, " numbers in ", key_));
    if (value > std::uint64_t{std::numeric_limits<std::int64_t>::max()})
      fail(cat("number too large in ", key_));
    numbers_.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool string(std::string& value) {
    if (place_ == Place::metadata) {
      header_.metadata.emplace(key_, std::move(value));
    } else if (place_ == Place::tensor && key_ == "dtype") {
      const auto found =
          std::ranges::find(kDtypes, std::string_view(value), &std::pair<std::string_view, Dtype>::first);
      if (found == kDtypes.end()) fail(cat("dtype ", in_quotes(value), " is not supported"));
      header_.tensors.back().dtype = found->second;
    } else {
      return unexpected("a string");
    }
    return true;
  }

  bool start_object(std::size_t) {
    if (place_ == Place::outside) {
      place_ = Place::file;
    } else if (place_ == Place::file && key_ == kMetadataKey) {
      place_ = Place::metadata;
      seen_keys_.clear();
    } else if (place_ == Place::file) {
      place_ = Place::tensor;
      seen_keys_.clear();
      header_.tensors.push_back({.name = key_});
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool key(std::string& key) {
    std::set<std::string>& seen = place_ == Place::file ? seen_names_ : seen_keys_;
    if (!seen.insert(key).second) fail(cat("the key ", in_quotes(key), " occurs twice"));
    if (place_ == Place::tensor && key != "dtype" && key != "shape" && key != "data_offsets") {
      fail(cat("unknown key ", in_quotes(key)));
    }
    key_ = std::move(key);
    return true;
  }

  bool end_object() {
    if (place_ == Place::tensor) {
      for (const char* key : {"dtype", "shape", "data_offsets"}) {
        if (!seen_keys_.contains(key)) fail(cat("no ", key));
      }
    }
    place_ = place_ == Place::file ? Place::outside : Place::file;
    return true;
  }

  bool start_array(std::size_t) {
    if (place_ != Place::tensor || key_ == "dtype") return unexpected("an array");
    place_ = Place::list;
    numbers_.clear();
    return true;
  }

  bool end_array() {
    TensorEntry& tensor = header_.tensors.back();
    if (key_ == "shape") {
      try {
        tensor.shape = Shape(numbers_);
      } catch (const ShapeError& error) {
        fail(error.what());
      }
    } else {
      if (numbers_.size() != 2) fail("data_offsets are not two numbers");
      tensor.begin = static_cast<std::uint64_t>(numbers_[0]);
      tensor.end = static_cast<std::uint64_t>(numbers_[1]);
    }
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    throw DataError(cat(file_, ": the header is not valid JSON at byte ", position));
  }

 private:
  enum class Place { outside, file, metadata, tensor, list };

  [[noreturn]] void fail(const std::string& what) const {
    const bool in_tensor = place_ == Place::tensor || place_ == Place::list;
    const std::string where = in_tensor ? "tensor " + in_quotes(header_.tensors.back().name) + ": " : "";
    throw DataError(cat(file_, ": ", where, what));
  }

  bool unexpected(const char* what) const {
    fail(cat(what, " in the header where the format has none",
             place_ == Place::outside ? "" : ", after key " + in_quotes(key_)));
  }

  std::string file_;
  SafetensorsHeader header_;
  Place place_ = Place::outside;
  std::string key_;
  std::set<std::string> seen_names_, seen_keys_;
  std::vector<std::int64_t> numbers_;
};

void check_layout(std::vector<TensorEntry>& tensors, std::uint64_t payload_bytes, const std::string& file) {
  for (const TensorEntry& tensor : tensors) {
    const auto fail = [&](const std::string& what) {
      throw DataError(cat(file, ": tensor ", in_quotes(tensor.name), ": ", what));
    };
    if (tensor.end < tensor.begin) fail("its bytes end before they begin");
    if (tensor.end > payload_bytes) fail("its bytes lie beyond the end of the file");
    const std::uint64_t bytes = tensor.end - tensor.begin, size = size_of(tensor.dtype);
    // A division: the product of elements and size may not fit into 64 bits.
    if (bytes % size != 0 || bytes / size != static_cast<std::uint64_t>(tensor.shape.elements())) {
      fail(cat(bytes, " bytes are not a ", tensor.shape, " of ", tensor.dtype));
    }
  }
  std::ranges::stable_sort(tensors, {},
                           [](const TensorEntry& tensor) { return std::pair(tensor.begin, tensor.end); });
  std::uint64_t covered = 0;
  for (const TensorEntry& tensor : tensors) {
    if (tensor.begin != covered) {
      throw DataError(cat(file, ": tensor ", in_quotes(tensor.name), ": its bytes ",
                          tensor.begin < covered ? "overlap" : "leave a hole after", " those before"));
    }
    covered = tensor.end;
  }
  if (covered != payload_bytes) {
    throw DataError(cat(file, ": ", payload_bytes - covered, " bytes at the end belong to no tensor"));
  }
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t payload_bytes,
                                           const std::string& file) {
  if (json.empty() || json.front() != '{')
    throw DataError(cat(file, ": not a safetensors file: the header does not begin with {"));
  // The parser would take a zero byte for the end of the text, and whatever follows would hide behind it.
  if (json.find('\0') != json.npos)
    throw DataError(cat(file, ": the header is not valid JSON: it holds a zero byte"));
  HeaderBuilder builder(file);
  Json::sax_parse(json.begin(), json.end(), &builder);
  SafetensorsHeader header = builder.take();
  check_layout(header.tensors, payload_bytes, file);
  return header;
}

std::string format_safetensors_header(const SafetensorsHeader& header) {
  std::string text = "{";
  if (!header.metadata.empty())
    text += cat(Json(kMetadataKey).dump(), ":", Json(header.metadata).dump(), ",");
  for (const TensorEntry& tensor : header.tensors) {
    const auto extents = tensor.shape.extents();
    const Json entry{{"dtype", safetensors_name(tensor.dtype)},
                     {"shape", std::vector<std::int64_t>(extents.begin(), extents.end())},
                     {"data_offsets", {tensor.begin, tensor.end}}};
    text += cat(Json(tensor.name).dump(), ":", entry.dump(), ",");
  }
  if (text.back() == ',') text.pop_back();
  text += "}";
  constexpr std::size_t kAlignment = 8;
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  return text;
}

std::string_view safetensors_name(Dtype dtype) {
  return std::ranges::find(kDtypes, dtype, &std::pair<std::string_view, Dtype>::second)->first;
}

}  // namespace gpunn::io
