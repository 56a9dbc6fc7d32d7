// What is in the network: a directed acyclic graph of operators on tensors of any rank.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"

namespace convopt {

enum class OperatorKind : std::uint8_t {
  compute,   ///< takes time: `workload` says what
  reshape,   ///< another shape of the same row-major elements: free in nchw, impossible elsewhere
  constant,  ///< no inputs; its weights, one per element, are the result, in nchw
  opaque,    ///< not known to convopt: consumes and produces nchw, its time is left out
};

using TensorId = int;  ///< index into Network::tensors

struct Tensor {
  std::string name;
  TensorShape shape;
  DataType type = DataType::f32;
};

/// Numbers that copies of the array share. Those of a file may be read only when they are first
/// asked for, so a file must not change while a network of it lives. Asking is safe in several
/// threads.
class FloatArray {
 public:
  FloatArray() = default;
  FloatArray(std::vector<float> values);
  /// Numbers in memory that lives as long as `owner`.
  FloatArray(std::shared_ptr<const void> owner, std::span<const float> values);
  /// `count` numbers, made when they are first asked for.
  static FloatArray deferred(std::size_t count, std::function<std::vector<float>()> make);

  std::size_t size() const;
  bool empty() const { return size() == 0; }
  std::span<const float> values() const;
  operator std::span<const float>() const { return values(); }
  const float* data() const { return values().data(); }
  const float* begin() const { return data(); }
  const float* end() const { return data() + size(); }
  float operator[](std::size_t i) const { return data()[i]; }
  bool operator==(const FloatArray& other) const;

  /// A copy that this array does not share, to be changed. Not while other threads ask.
  std::vector<float>& own();

 private:
  struct State;
  std::shared_ptr<State> state_;       ///< null: empty, or borrowed
  std::shared_ptr<const void> owner_;  ///< of what is borrowed
  std::span<const float> borrowed_;
};

/// Parameters that a file brings along: weights [oc][ic / groups][kh][kw] and bias [oc]; for other
/// operations see Workload::has_weights().
struct StoredWeights {
  FloatArray weights, bias;
};

struct Operator {
  std::string name;
  std::string type;  ///< as the file calls it
  OperatorKind kind = OperatorKind::compute;
  Workload workload;  ///< for compute; without epilogue: fusing is the selection's choice
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;
  std::shared_ptr<const StoredWeights> weights;  ///< null: the file has none
  std::vector<std::string> folded = {};          ///< operators of the file that became part of it
};

class NetworkRest;

struct Network {
  std::string name;
  std::string source;  ///< where its definition comes from
  std::vector<Tensor> tensors;
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;
  std::vector<Operator> operators;  ///< in an order in which they can be executed
  std::vector<std::string> warnings;
  std::vector<std::string> clean_up = {};      ///< what reading simplified, one sentence each
  std::vector<std::string> output_names = {};  ///< as the file calls them; empty: like the tensors
  /// What the model makes of these outputs, where shapes depend on their numbers; null: they are
  /// the model's outputs.
  std::shared_ptr<const NetworkRest> rest = {};

  /// Outputs by their names at the border: tensors[outputs[i]] with the file's name for it.
  std::vector<Tensor> named_outputs() const;
  std::vector<Tensor> named_inputs() const;

  /// Hash of the graph and its shapes, not of names of files or warnings; 16 hexadecimal digits.
  std::string hash() const;
};

/// Shapes for inputs of the network, by name: of any rank, sizes from 1. They replace what the file
/// says, and bind dimensions that an ONNX model leaves open.
using InputShapes = std::vector<std::pair<std::string, std::vector<int>>>;

/// Values for inputs of an ONNX model, by name, in row-major order; a single one stands for all
/// elements. Such an input becomes a constant: conditions, sizes and branches that depend on it are
/// settled, and the network does not have it.
using InputValues = std::vector<std::pair<std::string, std::vector<double>>>;

/// Reads a network file, JSON (docs/reference/network-format.md), ONNX or a bundle, which its
/// content tells apart. Inputs and outputs have the rank and type that the file says. `batch`
/// overrides the batch of the file if > 0, and is refused if < 0. load_network and network_border
/// are part of convopt::convopt, not of convopt::runtime.
Result<Network> load_network(const std::filesystem::path& path, int batch = 0,
                             const InputShapes& shapes = {}, const InputValues& values = {});
Result<Network> parse_network(std::string_view json, std::string_view file_name, int batch = 0,
                              const InputShapes& shapes = {});

/// An input or output as a file declares it.
struct DeclaredTensor {
  struct Size {
    int size = 0;        ///< 0: open
    std::string symbol;  ///< what the file calls an open size, if anything
  };
  std::string name;
  std::optional<DataType> type;            ///< nothing for types that no network takes
  std::optional<std::vector<Size>> sizes;  ///< nothing where the file does not say the shape
  /// A condition or a size in the model depends on the values of this input, so that they have to
  /// be known when the model is read (InputValues).
  bool decides = false;
};

/// What an ONNX file says of itself; empty of other formats.
struct ModelMetadata {
  std::string graph_name, producer_name, domain, description;
  std::int64_t version = 0;
  std::map<std::string, std::string> properties;  ///< its own, such as the names of classes
};

struct NetworkBorder {
  std::vector<DeclaredTensor> inputs, outputs;
  ModelMetadata metadata = {};
};

/// A tensor with its numbers.
struct Array {
  std::string name;
  DataType type = DataType::f32;
  std::vector<std::int64_t> shape;  ///< sizes may be 0
  std::vector<std::byte> data;      ///< row-major
};

/// The part of an ONNX model whose shapes depend on numbers that a network computes, such as the
/// boxes that NonMaxSuppression keeps. It is read step by step: each step takes the outputs of the
/// network before it and makes the next network, until all outputs of the model are known. Networks
/// are kept by the shapes that they were made for. May be used in several threads at once.
class NetworkRest {
 public:
  struct Step {
    std::shared_ptr<const Network> network;   ///< to be run next; null: nothing is left to run
    std::vector<Array> inputs;                ///< of that network, in its order
    std::shared_ptr<const NetworkRest> rest;  ///< what takes its outputs
    std::vector<Array> outputs;               ///< of the model, in its order, if nothing is left
  };

  virtual ~NetworkRest() = default;
  /// `outputs` are those of the network that this is the rest of, in its order.
  virtual Result<Step> next(const std::vector<Array>& outputs) const = 0;
  /// The model's outputs as its file declares them.
  virtual const std::vector<DeclaredTensor>& outputs() const = 0;
};

/// What a network file says of its inputs and outputs, even where load_network needs to be told
/// more.
Result<NetworkBorder> network_border(const std::filesystem::path& path);

/// The network in the JSON format, without its weights.
std::string to_json(const Network& network);

}  // namespace convopt
