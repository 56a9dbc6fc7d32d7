// Protobuf copies every field of a message into memory of its own. Of a model of half a gigabyte
// that is nearly all weights, so these are cut out of its bytes before protobuf sees them.
#include "src/network/onnx/model_file.h"

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/inlining.h"

namespace convopt::onnx_reader {
namespace {

/// Fields of these messages, by their numbers in onnx.proto.
constexpr std::uint64_t kGraph = 7, kInitializer = 5, kRawData = 9;
/// Values of fewer bytes are not worth leaving out.
constexpr std::size_t kLeastBytes = 1024;

struct Field {
  std::uint64_t number = 0;
  bool has_content = false;  ///< of a length that it says itself: text, bytes or a message
  std::string_view whole, content;
};

/// The fields of one message, in their order. What is not well-formed ends them, and protobuf has
/// the last word on it.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    const std::string_view begin = rest_;
    const auto tag = varint();
    if (!tag) return bad();
    Field field;
    field.number = *tag >> 3U;
    std::uint64_t length = 0;
    switch (*tag & 7U) {
      case 0:
        if (!varint()) return bad();
        break;
      case 1:
        length = 8;
        break;
      case 2: {
        const auto said = varint();
        if (!said) return bad();
        length = *said;
        field.has_content = true;
        break;
      }
      case 5:
        length = 4;
        break;
      default:  // groups, which onnx.proto does not have
        return bad();
    }
    if (length > rest_.size()) return bad();
    field.content = rest_.substr(0, length);
    rest_.remove_prefix(length);
    field.whole = begin.substr(0, begin.size() - rest_.size());
    return field;
  }

  bool well_formed() const { return !bad_; }

 private:
  std::optional<Field> bad() {
    bad_ = true;
    return std::nullopt;
  }

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return std::nullopt;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80U) return value;
    }
    return std::nullopt;
  }

  std::string_view rest_;
  bool bad_ = false;
};

void append_varint(std::string& to, std::uint64_t value) {
  while (value >= 0x80U) {
    to += static_cast<char>((value & 0x7FU) | 0x80U);
    value >>= 7U;
  }
  to += static_cast<char>(value);
}

void append_message(std::string& to, std::uint64_t number, std::string_view content) {
  append_varint(to, number << 3U | 2U);
  append_varint(to, content.size());
  to += content;
}

/// A model's bytes without what is left out, and that by the initializers' numbers.
struct Skeleton {
  std::string bytes;
  std::vector<std::string_view> raw;  ///< empty: nothing is left out
};

bool add_tensor(std::string_view message, std::string& graph, Skeleton& skeleton) {
  std::string tensor;
  std::string_view raw;  // the last one counts
  Fields fields(message);
  while (const auto field = fields.next()) {
    if (field->number == kRawData && field->has_content) {
      raw = field->content;
    } else {
      tensor += field->whole;
    }
  }
  if (raw.size() < kLeastBytes) {
    append_message(graph, kInitializer, message);
    skeleton.raw.emplace_back();
  } else {
    append_message(graph, kInitializer, tensor);
    skeleton.raw.push_back(raw);
  }
  return fields.well_formed();
}

bool add_graph(std::string_view message, Skeleton& skeleton) {
  std::string graph;
  Fields fields(message);
  while (const auto field = fields.next()) {
    if (field->number != kInitializer || !field->has_content) {
      graph += field->whole;
    } else if (!add_tensor(field->content, graph, skeleton)) {
      return false;
    }
  }
  append_message(skeleton.bytes, kGraph, graph);
  return fields.well_formed();
}

std::optional<Skeleton> skeleton_of(std::string_view model) {
  Skeleton skeleton;
  Fields fields(model);
  while (const auto field = fields.next()) {
    if (field->number != kGraph || !field->has_content) {
      skeleton.bytes += field->whole;
    } else if (!add_graph(field->content, skeleton)) {
      return std::nullopt;
    }
  }
  if (!fields.well_formed()) return std::nullopt;
  return skeleton;
}

}  // namespace

ModelFile::ModelFile() : model(std::make_unique<::onnx::ModelProto>()) {}
ModelFile::ModelFile(ModelFile&&) noexcept = default;
ModelFile::~ModelFile() = default;

RawData ModelFile::raw_of(const ::onnx::TensorProto& tensor) const {
  const auto found = raw.find(&tensor);
  return found != raw.end() ? found->second : RawData{};
}

Result<ModelFile> parse_model(std::string_view bytes, const std::shared_ptr<const void>& owner) {
  const Error no_model =
      make_error(ErrorCode::bad_input,
                 "it is neither an ONNX model nor a network in JSON, or it is cut short");
  const auto skeleton = skeleton_of(bytes);
  if (!skeleton || skeleton->bytes.size() > std::numeric_limits<int>::max()) return no_model;
  ModelFile file;
  if (!file.model->ParseFromArray(skeleton->bytes.data(),
                                  static_cast<int>(skeleton->bytes.size())) ||
      !file.model->has_graph())
    return no_model;
  const auto& initializers = file.model->graph().initializer();
  for (int i = 0; i < initializers.size(); ++i)
    if (const std::string_view raw = skeleton->raw[static_cast<std::size_t>(i)]; !raw.empty())
      file.raw.emplace(&initializers[i], RawData{owner, raw});
  CONVOPT_CHECK(inline_functions(*file.model));
  return file;
}

}  // namespace convopt::onnx_reader
