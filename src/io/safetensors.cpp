#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <set>

#include <nlohmann/json.hpp>

#include "gpunn/io.hpp"
#include "src/core/text.hpp"
#include "src/io/crc32c.hpp"
#include "src/io/file.hpp"
#include "src/io/safetensors_header.hpp"

namespace gpunn::io {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::string_view kHeaderChecksum = "gpunn.crc32c";   // of everything the header says
constexpr std::string_view kTensorChecksum = "gpunn.crc32c:";  // + name: of the tensor's bytes
constexpr std::string_view kMetadataKey = "__metadata__";

std::string hex(std::uint32_t checksum) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", checksum);
  return text;
}

std::string checksum_key(std::string_view tensor) {
  return std::string(kTensorChecksum) + std::string(tensor);
}

// Over what the header means, not how it is written: metadata in the order of the keys, then the tensors in
// the order of their bytes, every part after its length.
std::string header_checksum(const SafetensorsHeader& header) {
  std::uint32_t checksum = 0;
  const auto add = [&checksum](std::string_view part) {
    const std::uint64_t length = part.size();
    checksum = crc32c(std::as_bytes(std::span(&length, 1)), checksum);
    checksum = crc32c(std::as_bytes(std::span(part)), checksum);
  };
  for (const auto& [key, value] : header.metadata) {
    if (key == kHeaderChecksum) continue;
    add(key);
    add(value);
  }
  for (const TensorEntry& tensor : header.tensors) {
    add(tensor.name);
    add(cat(tensor.dtype, tensor.shape, tensor.begin, "-", tensor.end));
  }
  return hex(checksum);
}

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.bytes(), tensor.size_bytes()};
}

SafetensorsHeader describe(std::span<const NamedTensor* const> tensors, const Metadata& metadata) {
  SafetensorsHeader header;
  std::set<std::string_view> names;
  for (const auto& [key, value] : metadata) {
    if (key == kHeaderChecksum || key.starts_with(kTensorChecksum)) {
      throw UsageError(
          cat("save_safetensors: the metadata key ", in_quotes(key), " is reserved for checksums"));
    }
  }
  header.metadata = metadata;
  std::uint64_t offset = 0;
  for (const NamedTensor* named : tensors) {
    if (named->name == kMetadataKey || !names.insert(named->name).second) {
      throw UsageError(
          cat("save_safetensors: the name ", in_quotes(named->name), " is reserved or occurs twice"));
    }
    const std::uint64_t end = offset + named->tensor.size_bytes();
    header.tensors.push_back({named->name, named->tensor.dtype(), named->tensor.shape(), offset, end});
    header.metadata[checksum_key(named->name)] = hex(crc32c(bytes_of(named->tensor)));
    offset = end;
  }
  header.metadata[std::string(kHeaderChecksum)] = header_checksum(header);
  return header;
}

// Our files have a checksum of the header and of each tensor; others may have none at all.
bool has_checksums(const SafetensorsHeader& header) {
  return std::ranges::any_of(header.metadata, [](const auto& entry) {
    return entry.first == kHeaderChecksum || entry.first.starts_with(kTensorChecksum);
  });
}

void verify_header(const SafetensorsHeader& header, const std::string& file) {
  const auto found = header.metadata.find(std::string(kHeaderChecksum));
  if (found == header.metadata.end() || found->second != header_checksum(header)) {
    throw DataError(cat(file, ": the header is damaged: its checksum is not right"));
  }
}

void verify_tensor(const NamedTensor& named, const Metadata& metadata, const std::string& file) {
  const auto found = metadata.find(checksum_key(named.name));
  if (found == metadata.end() || found->second != hex(crc32c(bytes_of(named.tensor)))) {
    throw DataError(cat(file, ": tensor ", in_quotes(named.name), " is damaged: its checksum is not right"));
  }
}

// A bool in memory is 0 or 1; anything else would be undefined behaviour later.
void check_bools(const NamedTensor& named, const std::string& file) {
  if (named.tensor.dtype() != Dtype::boolean) return;
  if (std::ranges::any_of(bytes_of(named.tensor), [](std::byte byte) { return byte > std::byte{1}; })) {
    throw DataError(cat(file, ": tensor ", in_quotes(named.name), " holds a byte that is no bool"));
  }
}

SafetensorsHeader read_header(InputFile& input, const SafetensorsLimits& limits) {
  const std::string file = input.path().string();
  std::array<std::byte, 8> prefix{};
  if (input.size() < prefix.size())
    throw DataError(cat(file, ": not a safetensors file: ", input.size(), " bytes"));
  input.read_exactly(prefix);
  const auto length = std::bit_cast<std::uint64_t>(prefix);
  const std::uint64_t rest = input.size() - prefix.size();
  if (length > rest)
    throw DataError(cat(file, ": not a safetensors file: a header of ", length, " bytes in ", rest));
  if (length > static_cast<std::uint64_t>(limits.header_bytes)) {
    throw DataError(
        cat(file, ": the header has ", length, " bytes, more than the ", limits.header_bytes, " allowed"));
  }
  std::string json(length, '\0');
  input.read_exactly(std::as_writable_bytes(std::span(json)));
  return parse_safetensors_header(json, rest - length, file);
}

}  // namespace

const Tensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &NamedTensor::name);
  return found == tensors.end() ? nullptr : &found->tensor;
}

void save_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                      const Metadata& metadata) {
  std::vector<const NamedTensor*> ordered;
  for (const NamedTensor& named : tensors) ordered.push_back(&named);
  // Wide elements first: then every tensor starts at a multiple of its element size, which other readers may
  // rely on.
  std::ranges::stable_sort(ordered, std::ranges::greater{},
                           [](const NamedTensor* named) { return size_of(named->tensor.dtype()); });
  std::string json;
  try {
    json = format_safetensors_header(describe(ordered, metadata));
  } catch (const nlohmann::json::exception&) {
    throw UsageError(cat("save_safetensors: a name or metadata for ", path.string(), " is not valid UTF-8"));
  }
  AtomicFile file(path);
  const std::uint64_t length = json.size();
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(std::as_bytes(std::span(json)));
  for (const NamedTensor* named : ordered) file.write(bytes_of(named->tensor));
  file.commit();
}

SafetensorsFile load_safetensors(const std::filesystem::path& path, const SafetensorsLimits& limits) {
  InputFile input(path);
  const std::string file = path.string();
  SafetensorsHeader header = read_header(input, limits);
  const bool checked = has_checksums(header);
  if (checked) verify_header(header, file);

  SafetensorsFile result;
  for (const TensorEntry& entry : header.tensors) {
    NamedTensor named{entry.name, Tensor(entry.shape, entry.dtype)};
    input.read_exactly({named.tensor.bytes(), named.tensor.size_bytes()});
    if (checked) verify_tensor(named, header.metadata, file);
    check_bools(named, file);
    result.tensors.push_back(std::move(named));
  }
  std::erase_if(header.metadata, [](const auto& entry) {
    return entry.first == kHeaderChecksum || entry.first.starts_with(kTensorChecksum);
  });
  result.metadata = std::move(header.metadata);
  return result;
}

}  // namespace gpunn::io
