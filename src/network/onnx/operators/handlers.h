// Which operators of ONNX are known. Each file of this folder handles a group of them and has the
// table of its group.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "src/network/onnx/import.h"

namespace convopt::onnx_reader {

/// Adds an operator to the network and answers with its result, or with its results in order.
using Handler = Result<Value> (*)(Import& model, const Node& node);
using SeveralResultsHandler = Result<std::vector<Value>> (*)(Import& model, const Node& node);

struct OperatorHandler {
  std::string_view type;  ///< as ONNX calls it
  Handler one = nullptr;
  SeveralResultsHandler several = nullptr;  ///< if not null, used instead of `one`
  bool names_types = false;  ///< its results have the types that it gives them; else the input's

  Result<std::vector<Value>> handle(Import& model, const Node& node) const;
};

/// Null for a type that is not known.
const OperatorHandler* find_handler(std::string_view type);

/// All types that have a handler.
std::vector<std::string_view> handled_types();

using OperatorTable = std::span<const OperatorHandler>;
OperatorTable activation_operators();
OperatorTable arithmetic_operators();
OperatorTable comparison_operators();
OperatorTable convolution_operators();
OperatorTable indexing_operators();
OperatorTable matmul_operators();
OperatorTable normalisation_operators();
OperatorTable padding_operators();
OperatorTable pixel_operators();
OperatorTable pooling_operators();
OperatorTable quantisation_operators();
OperatorTable recurrent_operators();
OperatorTable reduction_operators();
OperatorTable resize_operators();
OperatorTable sampling_operators();
OperatorTable scattering_operators();
OperatorTable sequence_operators();
OperatorTable shape_operators();
OperatorTable slicing_operators();
OperatorTable spectrum_operators();

}  // namespace convopt::onnx_reader
