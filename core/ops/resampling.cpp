// Images of another resolution.
#include "core/ops/fields.h"

namespace convopt::ops {
namespace {

constexpr OpField kFields[] = {kImages, kChannels, kRows, kColumns, factors("s")};
constexpr OpField kJson[] = {factors("factor")};

constexpr OpDescriptor upsampling(std::string_view name, std::string_view mode,
                                  double (*reduction_length)(const Workload&),
                                  double (*arithmetic)(const Workload&)) {
  return {.name = name,
          .image_fields = kFields,
          .plain_fields = {},
          .json_fields = kJson,
          .constants = {},
          .json_name = "upsample",
          .json_mode = mode,
          .output =
              [](const Workload& w) {
                return TensorShape{w.first.n(), w.first.c(), w.first.h() * w.factors[0],
                                   w.first.w() * w.factors[1]};
              },
          .valid = factors_fit,
          .reduction_length = reduction_length,
          .arithmetic = arithmetic};
}

}  // namespace

constinit const OpDescriptor kUpsampleNearest =
    upsampling("upsample_nearest", "nearest", fixed<1>, fixed<1>);
constinit const OpDescriptor kUpsampleBilinear =
    upsampling("upsample_bilinear", "bilinear", fixed<4>, fixed<8>);
constinit const OpDescriptor kUpsampleCorners =
    upsampling("upsample_corners", "corners", fixed<4>, fixed<8>);

}  // namespace convopt::ops
