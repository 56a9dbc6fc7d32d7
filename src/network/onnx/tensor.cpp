#include "src/network/onnx/tensor.h"

#include <onnx/onnx_pb.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "core/conversion.h"
#include "core/files.h"
#include "core/text.h"
#include "core/try.h"

namespace convopt::onnx_reader {
namespace {

using ::onnx::TensorProto;

static_assert(std::endian::native == std::endian::little, "ONNX's raw data is little-endian");

Error bad(const TensorProto& tensor, const std::string& why) {
  return make_error(ErrorCode::bad_input, "tensor " + in_quotes(tensor.name()) + ": " + why);
}

std::size_t bytes_of(int type) {
  switch (type) {
    case TensorProto::FLOAT:
    case TensorProto::INT32:
    case TensorProto::UINT32:
      return 4;
    case TensorProto::DOUBLE:
    case TensorProto::INT64:
    case TensorProto::UINT64:
      return 8;
    case TensorProto::FLOAT16:
    case TensorProto::INT16:
    case TensorProto::UINT16:
      return 2;
    case TensorProto::INT8:
    case TensorProto::UINT8:
    case TensorProto::BOOL:
      return 1;
    default:
      return 0;
  }
}

float from_half(std::uint16_t bits) {
  float value = 0;
  to_floats(&bits, DataType::f16, 1, &value);
  return value;
}

template <class T>
T load(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

float real_at(int type, const char* bytes) {
  if (type == TensorProto::DOUBLE) return static_cast<float>(load<double>(bytes));
  if (type == TensorProto::FLOAT16) return from_half(load<std::uint16_t>(bytes));
  return load<float>(bytes);
}

std::int64_t integer_at(int type, const char* bytes) {
  switch (type) {
    case TensorProto::INT32:
      return load<std::int32_t>(bytes);
    case TensorProto::UINT32:
      return load<std::uint32_t>(bytes);
    case TensorProto::INT16:
      return load<std::int16_t>(bytes);
    case TensorProto::UINT16:
      return load<std::uint16_t>(bytes);
    case TensorProto::INT8:
      return load<std::int8_t>(bytes);
    case TensorProto::UINT8:
    case TensorProto::BOOL:
      return load<std::uint8_t>(bytes);
    default:
      return load<std::int64_t>(bytes);
  }
}

std::vector<float> floats_of(int type, std::string_view raw) {
  const std::size_t size = bytes_of(type);
  std::vector<float> values(raw.size() / size);
  if (type == TensorProto::FLOAT) {
    if (!values.empty()) std::memcpy(values.data(), raw.data(), raw.size());
  } else {
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = real_at(type, raw.data() + i * size);
  }
  return values;
}

void set_raw(Constant& constant, int type, const RawData& raw) {
  const std::size_t size = bytes_of(type);
  const std::size_t count = raw.bytes.size() / size;
  constexpr std::size_t kLeastDeferred = 4096;
  if (!constant.is_float) {
    for (std::size_t i = 0; i < count; ++i)
      constant.integers.push_back(integer_at(type, raw.bytes.data() + i * size));
  } else if (raw.owner == nullptr || count < kLeastDeferred) {
    constant.floats = floats_of(type, raw.bytes);
  } else if (type == TensorProto::FLOAT &&
             reinterpret_cast<std::uintptr_t>(raw.bytes.data()) % alignof(float) == 0) {
    constant.floats =
        FloatArray(raw.owner, {reinterpret_cast<const float*>(raw.bytes.data()), count});
  } else {
    constant.floats =
        FloatArray::deferred(count, [type, raw] { return floats_of(type, raw.bytes); });
  }
}

void append_typed(Constant& constant, const TensorProto& tensor) {
  std::vector<float>& floats = constant.floats.own();
  switch (tensor.data_type()) {
    case TensorProto::FLOAT:
      floats.assign(tensor.float_data().begin(), tensor.float_data().end());
      break;
    case TensorProto::DOUBLE:
      for (const double value : tensor.double_data()) floats.push_back(static_cast<float>(value));
      break;
    case TensorProto::FLOAT16:
      for (const std::int32_t bits : tensor.int32_data())
        floats.push_back(from_half(static_cast<std::uint16_t>(bits)));
      break;
    case TensorProto::INT64:
      constant.integers.assign(tensor.int64_data().begin(), tensor.int64_data().end());
      break;
    case TensorProto::UINT32:
    case TensorProto::UINT64:
      for (const std::uint64_t value : tensor.uint64_data())
        constant.integers.push_back(static_cast<std::int64_t>(value));
      break;
    default:
      constant.integers.assign(tensor.int32_data().begin(), tensor.int32_data().end());
  }
}

/// The file below `folder` that a location means. Links are followed first, so that none of them
/// leads out.
Result<std::filesystem::path> resolve(const TensorProto& tensor,
                                      const std::filesystem::path& folder,
                                      const std::string& location) {
  const auto outside = [&] {
    return bad(tensor, "its data lies in " + in_quotes(location) +
                           ", which is not a file in the model's folder");
  };
  const std::filesystem::path relative(location);
  if (location.empty() || location.find('\0') != std::string::npos || relative.is_absolute())
    return outside();
  std::error_code failed;
  const auto root = std::filesystem::canonical(folder.empty() ? "." : folder, failed);
  if (failed) return outside();
  const auto file = std::filesystem::canonical(root / relative, failed);
  if (failed || !std::filesystem::is_regular_file(file, failed)) return outside();
  const auto inside = file.lexically_relative(root);
  if (inside.empty() || *inside.begin() == "..") return outside();
  return file;
}

Result<RawData> read_external(const TensorProto& tensor, const std::filesystem::path& folder,
                              std::size_t bytes) {
  std::string location;
  std::uint64_t offset = 0;
  std::uint64_t length = bytes;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() != "offset" && entry.key() != "length") continue;
    const auto number = parse_number<std::uint64_t>(entry.value());
    if (!number) return bad(tensor, "its external data has the malformed " + entry.key());
    (entry.key() == "offset" ? offset : length) = *number;
  }
  if (folder.empty()) return bad(tensor, "its data lies in a file, and there is no folder for it");
  CONVOPT_TRY(const auto path, resolve(tensor, folder, location));
  CONVOPT_TRY(auto file, MappedFile::open(path));
  const std::uint64_t size = file->bytes().size();
  if (length != bytes || offset > size || bytes > size - offset)
    return bad(tensor, "its shape needs " + std::to_string(bytes) + " bytes, which " +
                           in_quotes(location) + " does not have at " + std::to_string(offset));
  const std::string_view data = file->bytes().substr(offset, bytes);
  return RawData{std::move(file), data};
}

}  // namespace

static_assert(int{kFloat} == TensorProto::FLOAT && int{kBool} == TensorProto::BOOL &&
              int{kFloat16} == TensorProto::FLOAT16 && int{kDouble} == TensorProto::DOUBLE &&
              int{kBfloat16} == TensorProto::BFLOAT16);

std::optional<DataType> data_type(int number) {
  switch (number) {
    case TensorProto::FLOAT:
      return DataType::f32;
    case TensorProto::DOUBLE:
      return DataType::f64;
    case TensorProto::FLOAT16:
      return DataType::f16;
    case TensorProto::BFLOAT16:
      return DataType::bf16;
    case TensorProto::INT64:
      return DataType::s64;
    case TensorProto::INT32:
      return DataType::s32;
    case TensorProto::INT8:
      return DataType::s8;
    case TensorProto::UINT8:
      return DataType::u8;
    case TensorProto::INT16:
      return DataType::s16;
    case TensorProto::UINT16:
      return DataType::u16;
    case TensorProto::UINT32:
      return DataType::u32;
    case TensorProto::UINT64:
      return DataType::u64;
    case TensorProto::BOOL:
      return DataType::boolean;
    default:
      return std::nullopt;
  }
}

bool is_real(int data_type) {
  return data_type == kFloat || data_type == kDouble || data_type == kFloat16;
}

const std::string& name_of(const TensorProto& tensor) { return tensor.name(); }

Result<Constant> take_tensor(TensorProto& tensor, const std::filesystem::path& folder,
                             const RawData& raw) {
  auto constant = read_tensor(tensor, folder, raw);
  tensor.Clear();
  return constant;
}

Result<Constant> read_tensor(const TensorProto& tensor, const std::filesystem::path& folder,
                             const RawData& left_out) {
  const int type = tensor.data_type();
  const std::size_t size = bytes_of(type);
  if (size == 0)
    return bad(tensor, "values of the type number " + std::to_string(type) + " are not supported");
  if (tensor.has_segment()) return bad(tensor, "it comes in segments, which is not supported");
  Constant constant;
  constant.dims.assign(tensor.dims().begin(), tensor.dims().end());
  constant.is_float = is_real(type);
  constant.type = data_type(type);
  const auto count = element_count(constant.dims);
  if (!count)
    return bad(tensor, "the shape " + dims_text(constant.dims) +
                           " has a negative size or more than 2^31 - 1 elements");
  const auto bytes = static_cast<std::size_t>(*count) * size;
  RawData raw{nullptr, tensor.raw_data()};
  if (tensor.data_location() == TensorProto::EXTERNAL) {
    CONVOPT_TRY(raw, read_external(tensor, folder, bytes));
  } else if (left_out.owner != nullptr) {
    raw = left_out;
  } else if (!tensor.has_raw_data()) {
    append_typed(constant, tensor);
    raw.bytes = {};
  }
  if (!raw.bytes.empty() || tensor.has_raw_data()) {
    if (raw.bytes.size() != bytes)
      return bad(tensor, "it has " + std::to_string(raw.bytes.size()) +
                             " bytes of data, but the shape " + dims_text(constant.dims) +
                             " needs " + std::to_string(bytes));
    set_raw(constant, type, raw);
  }
  if (constant.size() != static_cast<std::size_t>(*count))
    return bad(tensor, "it has " + std::to_string(constant.size()) + " values, but the shape " +
                           dims_text(constant.dims) + " needs " + std::to_string(*count));
  return constant;
}

}  // namespace convopt::onnx_reader
