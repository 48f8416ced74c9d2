// IDX, the format of MNIST: two zero bytes, a type, the number of extents, each extent as a big-endian 32-bit
// number, then the elements, big-endian.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include "gpunn/data.hpp"
#include "src/core/text.hpp"
#include "src/io/byte_source.hpp"
#include "src/io/file.hpp"

namespace gpunn::data {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are swapped from big-endian");

struct ElementType {
  std::uint8_t code;
  std::size_t bytes;
  Dtype dtype;  // of the tensor
};

constexpr std::uint8_t kSigned8 = 0x09, kSigned16 = 0x0B;
constexpr std::array<ElementType, 6> kTypes{{{0x08, 1, Dtype::u8},
                                             {kSigned8, 1, Dtype::i32},
                                             {kSigned16, 2, Dtype::i32},
                                             {0x0C, 4, Dtype::i32},
                                             {0x0D, 4, Dtype::f32},
                                             {0x0E, 8, Dtype::f64}}};

struct Header {
  ElementType type;
  Shape shape;
};

void read_exactly(io::ByteSource& source, std::span<std::byte> into, const std::string& file) {
  if (source.read(into) < into.size()) throw DataError(cat(file, ": the IDX file ends too early"));
}

Header read_header(io::ByteSource& source, const std::string& file) {
  std::array<std::byte, 4> magic{};
  read_exactly(source, magic, file);
  const auto type = std::ranges::find(kTypes, std::to_integer<std::uint8_t>(magic[2]), &ElementType::code);
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0} || type == kTypes.end()) {
    throw DataError(cat(file, ": not an IDX file"));
  }
  const int rank = std::to_integer<int>(magic[3]);
  if (rank > Shape::kMaxRank) throw DataError(cat(file, ": ", rank, " extents, at most 8 are possible"));
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  for (int axis = 0; axis < rank; ++axis) {
    std::array<std::byte, 4> big_endian{};
    read_exactly(source, big_endian, file);
    extents[static_cast<std::size_t>(axis)] = __builtin_bswap32(std::bit_cast<std::uint32_t>(big_endian));
  }
  try {
    return {*type, Shape(std::span<const std::int64_t>(extents.data(), static_cast<std::size_t>(rank)))};
  } catch (const ShapeError& error) {
    throw DataError(cat(file, ": ", error.what()));
  }
}

// Widens 1- and 2-byte signed integers, which lie at the front of the i32 tensor, from the last to the first.
template <class Narrow>
void widen(std::span<std::int32_t> elements) {
  const auto* bytes = reinterpret_cast<const std::byte*>(elements.data());
  for (std::size_t i = elements.size(); i-- > 0;) {
    std::make_unsigned_t<Narrow> raw;
    std::memcpy(&raw, bytes + i * sizeof(Narrow), sizeof(Narrow));
    if constexpr (sizeof(Narrow) == 2) raw = __builtin_bswap16(raw);
    elements[i] = static_cast<Narrow>(raw);
  }
}

void swap_bytes(std::byte* elements, std::int64_t count, std::size_t size) {
  if (size == 1) return;
  for (std::int64_t i = 0; i < count; ++i, elements += size) std::reverse(elements, elements + size);
}

// The dtypes that can be written, as they are read.
std::uint8_t code_of(Dtype dtype) {
  for (const ElementType& type : kTypes) {
    if (type.dtype == dtype && type.bytes == size_of(dtype)) return type.code;
  }
  throw UsageError(cat("save_idx: the format has no ", dtype));
}

}  // namespace

Tensor idx(const std::filesystem::path& path) {
  const std::string file = path.string();
  const auto source = io::open_bytes(path);
  const auto [type, shape] = read_header(*source, file);
  const auto elements = static_cast<std::uint64_t>(shape.elements());
  if (elements > source->most_bytes() / type.bytes) {
    throw DataError(cat(file, ": too short for the ", shape, " elements that it announces"));
  }
  Tensor tensor(shape, type.dtype);
  read_exactly(*source, {tensor.bytes(), elements * type.bytes}, file);
  std::array<std::byte, 1> more{};
  if (source->read(more) != 0)
    throw DataError(cat(file, ": longer than the ", shape, " elements that it announces"));

  if (type.code == kSigned8) {
    widen<std::int8_t>(tensor.data<std::int32_t>());
  } else if (type.code == kSigned16) {
    widen<std::int16_t>(tensor.data<std::int32_t>());
  } else {
    swap_bytes(tensor.bytes(), tensor.elements(), type.bytes);
  }
  return tensor;
}

void save_idx(const Tensor& tensor, const std::filesystem::path& path) {
  const Shape& shape = tensor.shape();
  std::vector<std::byte> header{std::byte{0}, std::byte{0}, std::byte{code_of(tensor.dtype())},
                                static_cast<std::byte>(shape.rank())};
  for (const std::int64_t extent : shape.extents()) {
    if (extent > std::int64_t{0xFFFFFFFF})
      throw UsageError(cat("save_idx: ", shape, " has an extent over 32 bits"));
    const auto big_endian =
        std::bit_cast<std::array<std::byte, 4>>(__builtin_bswap32(static_cast<std::uint32_t>(extent)));
    header.insert(header.end(), big_endian.begin(), big_endian.end());
  }
  const Tensor swapped = size_of(tensor.dtype()) == 1 ? tensor : tensor.clone();
  if (size_of(tensor.dtype()) > 1) {
    Tensor own = swapped;  // shares the clone's elements
    swap_bytes(own.bytes(), own.elements(), size_of(own.dtype()));
  }
  io::AtomicFile file(path);
  file.write(header);
  file.write({swapped.bytes(), swapped.size_bytes()});
  file.commit();
}

}  // namespace gpunn::data
