#include "convopt/npy.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <optional>

#include "core/conversion.h"
#include "core/files.h"
#include "core/text.h"

namespace convopt {
namespace {

static_assert(std::endian::native == std::endian::little,
              "numbers are written as they lie in memory");

/// Types by NumPy's names.
struct NamedType {
  std::string_view name;
  DataType type;
};
constexpr NamedType kTypes[] = {
    {"<f4", DataType::f32}, {"<f8", DataType::f64}, {"<f2", DataType::f16},
    {"<i8", DataType::s64}, {"<i4", DataType::s32}, {"|i1", DataType::s8},
    {"|u1", DataType::u8},  {"<i2", DataType::s16}, {"<u2", DataType::u16},
    {"<u4", DataType::u32}, {"<u8", DataType::u64}, {"|b1", DataType::boolean}};

constexpr std::string_view kMagic = "\x93NUMPY";
/// Where the length of the header stands: after the magic and two version bytes.
constexpr std::size_t kLengthAt = 8;
/// NumPy aligns the data to this, for memory mapping.
constexpr std::size_t kDataAlignment = 64;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \n") - first + 1);
}

/// What follows `'key':` in the header, a Python dictionary of three entries.
std::string_view after_key(std::string_view header, std::string_view key) {
  const auto at = header.find("'" + std::string(key) + "':");
  if (at == std::string_view::npos) return {};
  return trimmed(header.substr(at + key.size() + 3));
}

/// `(1, 3, 224, 224)`, `(5,)` or `()`.
std::optional<std::vector<std::int64_t>> parse_shape(std::string_view text) {
  const auto close = text.find(')');
  if (!text.starts_with('(') || close == std::string_view::npos) return std::nullopt;
  std::vector<std::int64_t> shape;
  for (const std::string_view part : split(text.substr(1, close - 1), ',')) {
    const std::string_view number = trimmed(part);
    if (number.empty()) continue;
    const auto size = parse_number<std::int64_t>(number);
    if (!size || *size < 0) return std::nullopt;
    shape.push_back(*size);
  }
  return shape;
}

}  // namespace

Result<NpyArray> parse_npy(std::string_view bytes, std::string_view file_name) {
  const auto bad = [&](std::string_view why) {
    return make_error(ErrorCode::bad_input, std::string(file_name) + ": " + std::string(why));
  };
  const auto byte = [&](std::size_t at) {
    return std::size_t{static_cast<unsigned char>(bytes[at])};
  };
  if (!bytes.starts_with(kMagic) || bytes.size() < kLengthAt + 4) return bad("it is no .npy file");
  const bool long_length = byte(6) >= 2;
  const std::size_t header_at = kLengthAt + (long_length ? 4 : 2);
  std::size_t length = byte(kLengthAt) | byte(kLengthAt + 1) << 8U;
  if (long_length) length |= byte(kLengthAt + 2) << 16U | byte(kLengthAt + 3) << 24U;
  if (bytes.size() < header_at || length > bytes.size() - header_at) {
    return bad("its header is cut short");
  }
  const std::string_view header = bytes.substr(header_at, length);
  const std::string_view data = bytes.substr(header_at + length);

  const std::string_view descr = after_key(header, "descr");
  const auto named = std::ranges::find_if(kTypes, [&](const NamedType& known) {
    return descr.starts_with("'" + std::string(known.name) + "'");
  });
  if (named == std::end(kTypes)) {
    return bad("its values are of the type " + std::string(descr.substr(0, descr.find(','))) +
               ", which is not supported");
  }
  const std::size_t element = element_bytes(named->type);
  if (!after_key(header, "fortran_order").starts_with("False")) {
    return bad("it is in Fortran order");
  }
  auto shape = parse_shape(after_key(header, "shape"));
  if (!shape) return bad("its header names no shape");
  std::size_t count = 1;
  for (const std::int64_t size : *shape) {
    if (__builtin_mul_overflow(count, static_cast<std::size_t>(size), &count)) {
      return bad("its shape is too large");
    }
  }
  if (data.size() % element != 0 || data.size() / element != count) {
    return bad("it holds " + std::to_string(data.size()) + " bytes of data, but its shape has " +
               std::to_string(count) + " elements");
  }
  NpyArray array{std::move(*shape), std::vector<float>(count), named->type};
  // The data need not be aligned.
  const std::vector<std::byte> aligned = [&] {
    std::vector<std::byte> bytes_of_data(data.size());
    if (count > 0) std::memcpy(bytes_of_data.data(), data.data(), data.size());
    return bytes_of_data;
  }();
  to_floats(aligned.data(), named->type, static_cast<std::int64_t>(count), array.values.data());
  return array;
}

std::string to_npy(const NpyArray& array) {
  const DataType type = array.type == DataType::bf16 ? DataType::f32 : array.type;
  const auto named = std::ranges::find(kTypes, type, &NamedType::type);
  std::string header =
      "{'descr': '" + std::string(named->name) + "', 'fortran_order': False, 'shape': (";
  for (const std::int64_t size : array.shape) header += std::to_string(size) + ", ";
  header += "), }";
  const std::size_t unpadded = kLengthAt + 2 + header.size() + 1;
  header.append((kDataAlignment - unpadded % kDataAlignment) % kDataAlignment, ' ');
  header += '\n';

  std::string bytes(kMagic);
  bytes += '\x01';
  bytes += '\0';
  bytes += static_cast<char>(header.size() & 0xFFU);
  bytes += static_cast<char>(header.size() >> 8U);
  bytes += header;
  std::vector<std::byte> data(array.values.size() * element_bytes(type));
  from_floats(array.values.data(), std::ssize(array.values), type, data.data());
  bytes.append(reinterpret_cast<const char*>(data.data()), data.size());
  return bytes;
}

Result<NpyArray> load_npy(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  if (!bytes) return bytes.error();
  return parse_npy(*bytes, path.string());
}

}  // namespace convopt
