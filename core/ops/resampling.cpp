// Images of another resolution.
#include <algorithm>

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

constexpr OpField kWindow = of_workload<&Workload::window>("k");
constexpr OpField kGridPlain[] = {kSizes, second_sizes("at"), kWindow,
                                  of_workload<&Workload::border>("border")};

bool has_grid(const Workload& w) {
  const bool known = w.window == 1 || w.window == 2 || w.window == 4;
  return known && w.border >= 0 && w.border <= static_cast<int>(Border::mirrored_edges) &&
         w.first.rank() == 4 && w.second.rank() == 4 && w.second[0] == w.first[0] &&
         w.second[3] == 2;
}

constexpr OpDescriptor grid_sampling() {
  OpDescriptor result = plain_operation(
      "grid_sample", kGridPlain,
      [](const Workload& w) {
        return TensorShape{w.first[0], w.first[1], w.second[1], w.second[2]};
      },
      has_grid, [](const Workload& w) { return double(w.window * w.window); });
  result.sources = 2;
  return result;
}

/// Four elements of the image per place, of which there are at most as many as rows and columns.
double roi_elements(const Workload& w) {
  double places = 4;
  for (const int d : {0, 1}) {
    const double inside = std::max(1.0, double(w.first[2 + d]) / w.factors[std::size_t(d)]);
    places *= w.window > 0 ? w.window : inside;
  }
  return places;
}

constexpr OpField kRoiPlain[] = {kSizes, second_sizes("at"), factors("s"), kWindow};
constexpr int kMostPlaces = 64;  ///< per direction

constexpr OpDescriptor roi(std::string_view name) {
  OpDescriptor result = plain_operation(
      name, kRoiPlain,
      [](const Workload& w) {
        return TensorShape{w.second[0], w.first[1], w.factors[0], w.factors[1]};
      },
      [](const Workload& w) {
        return w.first.rank() == 4 && w.second.rank() == 2 && w.second[1] == 4 &&
               w.factors[0] >= 1 && w.factors[1] >= 1 && w.factors[0] <= kMaxDimension &&
               w.factors[1] <= kMaxDimension && w.window >= 0 && w.window <= kMostPlaces;
      },
      roi_elements);
  result.sources = 3;
  result.third = [](const Workload& w) { return TensorShape{w.second[0]}; };
  return result;
}

}  // namespace

constinit const OpDescriptor kGridSample = grid_sampling();
constinit const OpDescriptor kRoiAverage = roi("roi_average");
constinit const OpDescriptor kRoiMaximum = roi("roi_maximum");
constinit const OpDescriptor kUpsampleNearest =
    upsampling("upsample_nearest", "nearest", fixed<1>, fixed<1>);
constinit const OpDescriptor kUpsampleBilinear =
    upsampling("upsample_bilinear", "bilinear", fixed<4>, fixed<8>);
constinit const OpDescriptor kUpsampleCorners =
    upsampling("upsample_corners", "corners", fixed<4>, fixed<8>);

}  // namespace convopt::ops
