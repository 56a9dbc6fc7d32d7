// What is in the network: a directed acyclic graph of operators on four-dimensional tensors.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/tensor.hpp"
#include "convopt/workload.hpp"

namespace convopt {

enum class OperatorKind : std::uint8_t {
  compute,  ///< takes time: `workload` says what
  reshape,  ///< reinterprets an nchw tensor; free in nchw, impossible elsewhere (flatten, reshape)
  opaque,   ///< not known to convopt: consumes and produces nchw, its time is left out
};

using TensorId = int;  ///< index into Network::tensors

struct Tensor {
  std::string name;
  TensorShape shape;
};

struct Operator {
  std::string name;
  std::string type;  ///< as the file calls it
  OperatorKind kind = OperatorKind::compute;
  Workload workload;  ///< for compute; without epilogue: fusing is the selection's choice
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;
};

struct Network {
  std::string name;
  std::string source;  ///< where its definition comes from
  std::vector<Tensor> tensors;
  std::vector<TensorId> inputs;
  std::vector<TensorId> outputs;
  std::vector<Operator> operators;  ///< in an order in which they can be executed
  std::vector<std::string> warnings;

  /// Hash of the graph and its shapes, not of names of files or warnings; 16 hexadecimal digits.
  std::string hash() const;
};

/// Reads a network file (docs/network-format.md). `batch` overrides the batch of the file if > 0.
Result<Network> load_network(const std::filesystem::path& path, int batch = 0);
Result<Network> parse_network(std::string_view json, std::string_view file_name, int batch = 0);

}  // namespace convopt
