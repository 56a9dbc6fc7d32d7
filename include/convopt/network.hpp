// What is in the network: a directed acyclic graph of operators on tensors of any rank.
#pragma once

#include <filesystem>
#include <memory>
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

/// Parameters that a file brings along: weights [oc][ic / groups][kh][kw] and bias [oc]; for other
/// operations see Workload::has_weights().
struct StoredWeights {
  std::vector<float> weights, bias;
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

struct Network {
  std::string name;
  std::string source;  ///< where its definition comes from
  std::vector<Tensor> tensors;
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;
  std::vector<Operator> operators;  ///< in an order in which they can be executed
  std::vector<std::string> warnings;
  std::vector<std::string> clean_up = {};  ///< what reading simplified, one sentence each

  /// Hash of the graph and its shapes, not of names of files or warnings; 16 hexadecimal digits.
  std::string hash() const;
};

/// Shapes for inputs of the network, by name: of any rank, sizes from 1. They replace what the file
/// says, and bind dimensions that an ONNX model leaves open.
using InputShapes = std::vector<std::pair<std::string, std::vector<int>>>;

/// Reads a network file, JSON (docs/reference/network-format.md) or ONNX, which its content tells
/// apart. Inputs and outputs have the rank and type that the file says. `batch` overrides the batch
/// of the file if > 0.
Result<Network> load_network(const std::filesystem::path& path, int batch = 0,
                             const InputShapes& shapes = {});
Result<Network> parse_network(std::string_view json, std::string_view file_name, int batch = 0,
                              const InputShapes& shapes = {});

/// The network in the JSON format, without its weights.
std::string to_json(const Network& network);

}  // namespace convopt
