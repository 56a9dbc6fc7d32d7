// Normalisations: softmax, local response and layer normalisation.
#include "core/ops/fields.h"

namespace convopt::ops {
namespace {

constexpr OpField kAxisJson[] = {kAxis};

constexpr OpField kLrnFields[] = {kImages, kChannels, kRows, kColumns,
                                  of_workload<&Workload::window>("k")};
constexpr OpField kLrnJson[] = {of_workload<&Workload::window>("size")};
constexpr OpConstant kLrnConstants[] = {
    {"alpha", &Workload::lrn_alpha}, {"beta", &Workload::lrn_beta}, {"k", &Workload::lrn_k}};

constexpr OpConstant kEpsilon[] = {{"epsilon", &Workload::epsilon}};

}  // namespace

constinit const OpDescriptor kSoftmax = {.name = "softmax",
                                         .image_fields = kImageFields,
                                         .plain_fields = kAxisPlain,
                                         .json_fields = kAxisJson,
                                         .constants = {},
                                         .json_name = {},
                                         .json_mode = {},
                                         .output = same_shape,
                                         .valid = has_axis,
                                         .reduction_length = along_axis,
                                         .arithmetic = fixed<30>};
constinit const OpDescriptor kLrn = {
    .name = "lrn",
    .image_fields = kLrnFields,
    .plain_fields = {},
    .json_fields = kLrnJson,
    .constants = kLrnConstants,
    .json_name = {},
    .json_mode = {},
    .output = same_shape,
    .valid = [](const Workload& w) { return w.window >= 1 && w.window <= kMaxDimension; },
    .reduction_length = [](const Workload& w) { return double(w.window); },
    .arithmetic = [](const Workload& w) { return w.window + 40.0; }};  // window sum and a power
constinit const OpDescriptor kLayerNorm = {.name = "layer_norm",
                                           .image_fields = kImageFields,
                                           .plain_fields = {},
                                           .json_fields = {},
                                           .constants = kEpsilon,
                                           .json_name = {},
                                           .json_mode = {},
                                           .output = same_shape,
                                           .valid = always,
                                           .reduction_length = along_axis,
                                           .arithmetic = fixed<8>};

}  // namespace convopt::ops
