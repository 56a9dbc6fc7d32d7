// Networks: directed acyclic graphs of operators on tensors of any rank.
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

/// Shared floats: copies share the values. Values of a file are read lazily, at the first access,
/// so the file must not change while a network of it exists. Access is thread-safe.
class FloatArray {
 public:
  FloatArray() = default;
  FloatArray(std::vector<float> values);
  /// Values in memory that `owner` keeps alive.
  FloatArray(std::shared_ptr<const void> owner, std::span<const float> values);
  /// `count` values, made at the first access.
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

  /// A private copy to be changed. Not thread-safe.
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
  /// The rest of a model with data-dependent shapes, which takes these outputs; null: they are the
  /// model's outputs.
  std::shared_ptr<const NetworkRest> rest = {};

  /// Outputs by the model's names: tensors[outputs[i]] with the file's name for it.
  std::vector<Tensor> named_outputs() const;
  std::vector<Tensor> named_inputs() const;

  /// Hash of the graph and its shapes, not of names of files or warnings; 16 hexadecimal digits.
  std::string hash() const;
};

/// Shapes for inputs of the network, by name: of any rank, sizes from 1. They replace those of the
/// file and bind the dynamic dimensions of an ONNX model.
using InputShapes = std::vector<std::pair<std::string, std::vector<int>>>;

/// Values for inputs of an ONNX model, by name, in row-major order; a single one stands for all
/// elements. Such an input becomes a constant and is no longer an input of the network: conditions
/// and sizes that depend on it are known when the model is read.
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
    int size = 0;        ///< 0: dynamic
    std::string symbol;  ///< the file's name for a dynamic size, or empty
  };
  std::string name;
  std::optional<DataType> type;            ///< nothing for types that networks do not have
  std::optional<std::vector<Size>> sizes;  ///< nothing where the file states no shape
  /// A condition or a shape in the model depends on the values of this input, so they have to be
  /// known when the model is read (InputValues).
  bool decides = false;
};

/// What an ONNX file says of itself; empty of other formats.
struct ModelMetadata {
  std::string graph_name, producer_name, domain, description;
  std::int64_t version = 0;
  std::map<std::string, std::string> properties;  ///< its own, such as the names of classes
};

/// A network's interface: inputs and outputs.
struct NetworkBorder {
  std::vector<DeclaredTensor> inputs, outputs;
  ModelMetadata metadata = {};
};

/// A tensor with its values.
struct Array {
  std::string name;
  DataType type = DataType::f32;
  std::vector<std::int64_t> shape;  ///< sizes may be 0
  std::vector<std::byte> data;      ///< row-major
};

/// The part of an ONNX model behind data-dependent shapes, such as the number of boxes that
/// NonMaxSuppression keeps. It is read step by step: each step takes the outputs of the network
/// before it and makes the next network, until all outputs of the model are known. Networks are
/// cached by their shapes. Thread-safe.
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

/// Inputs and outputs as a network file declares them, also where load_network needs shapes or
/// values besides.
Result<NetworkBorder> network_border(const std::filesystem::path& path);

/// The network in the JSON format, without its weights.
std::string to_json(const Network& network);

}  // namespace convopt
