// The model that is being read: the values that its names stand for and the network that grows.
//
// A tensor of the model is a tensor of the network and the sizes by which the model knows it, in
// one of two orders: plain, the model's row-major order is that of the network's tensor, whatever
// its rank; or channels last, the model's last dimension are the channels and those between it and
// the first are the pixels. Operators that only reinterpret change nothing but these; a reshape or
// transpose is added where an operator needs the elements in another form. So tensors of up to four
// dimensions stay images, for which there are layouts to choose from, even where the model sees a
// row; those of more dimensions have their own.
//
// The network computes in f32. A tensor of another type is converted at the border and its type
// kept as the model's view: whole numbers up to 2^24 are exact.
#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "src/network/graph_builder.h"
#include "src/network/onnx/constant.h"
#include "src/network/onnx/model_file.h"
#include "src/network/onnx/node.h"

namespace onnx {
class TensorProto;
}

namespace convopt::onnx_reader {

struct Value;

/// Numbers of which each whole one, of the tensor `whole`, stands for (number - zero) * scale.
struct Stands {
  const Value* real = nullptr;
  float scale = 1, zero = 0;
  TensorId whole = -1;
};

/// The meaning of a name of the model: a constant, a tensor of the network, a sequence of such
/// values, or an error.
struct Value {
  ConstantPointer constant;
  TensorId tensor = -1;
  Dims dims;                      ///< of a tensor, as the model sees it
  DataType type = DataType::f32;  ///< as the model sees it; the network's tensor is f32
  bool channels_last = false;
  std::optional<Error> error;   ///< why the value cannot be computed; reported only if it is read
  bool of_file = false;         ///< a constant that no input has anything to do with
  bool waits = false;           ///< the error is that numbers are not known yet
  const Node* maker = nullptr;  ///< null for inputs and initializers
  /// Whole numbers: the real ones that they stand for, if those are known.
  std::optional<Stands> stands = {};
  /// The elements of a sequence of tensors, which is neither constant nor tensor itself.
  std::optional<std::vector<const Value*>> sequence = {};
  const Value* padded = nullptr;  ///< the value that this one is with zeros around it
  Padding padding;                ///< how many

  bool is_tensor() const { return tensor >= 0; }
  bool is_sequence() const { return sequence.has_value(); }
  const Dims& sizes() const { return is_tensor() ? dims : constant->dims; }
  bool is_integer() const {
    return is_tensor() ? type != DataType::f32 && type != DataType::f16 && type != DataType::f64 &&
                             type != DataType::bf16
                       : !constant->is_float;
  }
};

/// All that the handlers of operators see of the reader.
class Import {
 public:
  using Found = Result<const Value*>;

  /// External data may lie in files of `folder`; empty: nowhere. The file outlives this, and is
  /// left as it is if it is to be read again.
  Import(const ModelFile& file, std::string source, std::filesystem::path folder, bool read_again);

  GraphBuilder& graph() { return graph_; }
  const std::filesystem::path& folder() const { return folder_; }

  // Names. Values live as long as the import, at one address. A graph inside of an operator has
  // names of its own, which hide those around it.
  void enter_graph() { scopes_.emplace_back(); }
  void leave_graph() { scopes_.pop_back(); }
  Result<void> add_initializer(::onnx::TensorProto& tensor);
  bool is_initializer(const std::string& name) const {
    return scopes_.back().initializers.contains(name);
  }
  Result<void> define(const std::string& name, const Value* value);
  const Value* keep(Value value);
  /// Null if there is none of that name. Decodes initializers on first use.
  const Value* find(std::string_view name);

  // Inputs of an operator, by position. A value that cannot be computed is an error.
  /// A constant or a tensor.
  Found input(const Node& node, int index);
  Found input_of_any_kind(const Node& node, int index);
  Result<std::vector<const Value*>> sequence_input(const Node& node, int index);
  /// A constant becomes a tensor of the network.
  Found tensor_input(const Node& node, int index);
  Found as_tensor(const std::string& base, const Value& value);
  /// Null if the model leaves the input out; an error if it is no constant.
  Result<ConstantPointer> constant_input(const Node& node, int index);
  Result<std::optional<float>> scalar_input(const Node& node, int index);
  Result<std::optional<std::int64_t>> whole_number_input(const Node& node, int index);
  /// Notes that an operator needs numbers that are not known when it is read.
  void want(std::string_view name) {
    wanted_.emplace(name);
    ++wants_;
  }
  const std::set<std::string>& wanted() const { return wanted_; }
  int wants() const { return wants_; }  ///< how often that happened

  // Forms of tensors.
  /// In row-major order of the model's dimensions. `base` starts the names of added operators.
  Found plain(const std::string& base, const Value& value);
  /// Plain, with these sizes in the network.
  Result<TensorId> shaped(const std::string& base, const Value& value, const TensorShape& shape);
  /// [n, c, pixels...] of rank 2 to 4.
  Result<TensorId> image(const Node& node, const Value& value);
  /// Plain, in the model's own rank: at least that of `dims` of rank 0 to 8.
  Result<TensorId> ranked(const std::string& base, const Value& value);
  /// Plain, with the first two dimensions as images and channels, whatever shape the rest has.
  Result<TensorId> with_channels(const Node& node, const Value& value);
  /// Null where the elements lie otherwise.
  Found as_channels_last(const Node& node, const Value& value);

  /// A matrix [in][out] as the weights of a fully connected layer: the same for all that read it.
  std::shared_ptr<const StoredWeights> weights_of(const ConstantPointer& matrix);

  // Names in the network, and what its user is told.
  std::string fresh(std::string name) const;
  Label label(const Node& node) const;
  void warn_once(const std::string& sentence) {
    if (warned_.insert(sentence).second) graph_.warn(sentence);
  }
  /// A number of its own for a value that no name of the model stands for.
  int count_hidden() { return hidden_++; }
  void note_pattern(const std::string& name) { ++patterns_[name]; }
  void note_patterns();  ///< in the network's list of clean-ups

 private:
  struct Scope {
    std::unordered_map<std::string, const Value*> values;
    std::unordered_map<std::string, ::onnx::TensorProto*> initializers;  ///< not yet decoded
  };
  const Value* find_in(Scope& scope, const std::string& name);

  const ModelFile& file_;
  std::filesystem::path folder_;
  GraphBuilder graph_;
  std::deque<Value> values_;
  std::vector<Scope> scopes_ = std::vector<Scope>(1);      // the innermost is the last
  std::unordered_map<TensorId, TensorId> channels_moved_;  // tensors with channels moved behind
  // Holds the constants, so that no other one has the address of one that is gone.
  std::unordered_map<ConstantPointer, const Value*> tensors_of_constants_;
  std::unordered_map<ConstantPointer, std::shared_ptr<const StoredWeights>> weights_;
  mutable std::unordered_map<std::string, int> last_number_;  // of names used more than once
  std::map<std::string, int> patterns_;
  std::set<std::string> warned_, wanted_;
  int hidden_ = 0, wants_ = 0;
  bool read_again_;
  bool rounds_ = false;  // that constants lost digits was said
};

/// A value for a new tensor of the network, or the error that prevented it.
Result<Value> made(Result<TensorId> tensor, Dims dims, bool channels_last = false);

/// The shape that a plain tensor has in the network unless an operator needs another one: up to
/// four dimensions as an image, filled up with ones; more as they are, those beyond eight
/// multiplied into the last one.
TensorShape natural_shape(const Dims& dims);

/// The model's own sizes; of more than eight, those beyond are multiplied into the last one.
TensorShape ranked_shape(const Dims& dims);

/// The first two dimensions as images and channels, all others as pixels.
TensorShape channel_shape(const Dims& dims);

/// Axes [first, last) of a plain tensor as channels, those before as images, those behind as
/// pixels.
TensorShape shape_around(const Dims& dims, std::size_t first, std::size_t last);

}  // namespace convopt::onnx_reader
