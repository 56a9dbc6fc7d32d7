// A model is read in stages where shapes depend on numbers. A stage is the largest network whose
// shapes are known: an operator that needs numbers which nobody knows yet waits, and so do those
// behind it. What they read of the others are the outputs of the stage; with these known, the next
// stage is read in the same way.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "src/network/onnx/constant.h"
#include "src/network/onnx/model_file.h"
#include "src/network/onnx/reader.h"

namespace onnx {
class ModelProto;
}

namespace convopt::onnx_reader {

/// A value that earlier stages made.
struct KnownValue {
  ConstantPointer value;
  bool is_input = false;  ///< of the network; else its numbers become part of it
  bool of_file = false;   ///< no input has anything to do with it
};
using KnownValues = std::map<std::string, KnownValue>;

struct Stage {
  std::optional<Network> network;  ///< nothing: there is nothing to run
  /// Names that operators which wait read and that are known without running the network.
  std::map<std::string, ConstantPointer> constants;
  std::set<std::string> wanted;   ///< names whose numbers decided that an operator waits
  std::vector<int> waiting;       ///< operators, in the order in which they can be executed
  std::optional<Error> obstacle;  ///< why the first of them waits
};

/// The opset of the model's operators; one that is only guessed is named in a sentence.
Result<int> model_opset(const ::onnx::ModelProto& model, std::string* guess = nullptr);

/// The first stage; it takes weights out of the file.
Result<Stage> read_first_stage(ModelFile& file, const OnnxOptions& options);

/// Of these operators, in an order in which they can be executed. `known` has what they read of
/// others. The file is not changed.
Result<Stage> read_stage(ModelFile& file, const OnnxOptions& options,
                         const std::vector<int>& operators, const KnownValues& known);

}  // namespace convopt::onnx_reader
