// What follows the first stage of a model.
#pragma once

#include <memory>
#include <string_view>

#include "src/network/onnx/stage.h"

namespace onnx {
class ValueInfoProto;
}

namespace convopt::onnx_reader {

/// A tensor as a model's border declares it.
DeclaredTensor declared_tensor(const ::onnx::ValueInfoProto& info);

/// The operators of the first stage that wait, for what its network's outputs of these names say.
/// The model's bytes live as long as `options.owner`.
Result<std::shared_ptr<const NetworkRest>> make_rest(std::string_view bytes,
                                                     const OnnxOptions& options, const Stage& stage,
                                                     std::vector<std::string> outputs);

}  // namespace convopt::onnx_reader
