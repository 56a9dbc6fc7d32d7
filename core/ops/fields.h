// How descriptors name the members of a workload.
#pragma once

#include "core/ops/descriptor.h"

namespace convopt::ops {

using Form = OpField::Form;

template <auto... members>
constexpr OpField of_convolution(std::string_view key, Form form = Form::number,
                                 std::optional<int> omitted = {}) {
  return {key, form, [](const Workload& w) { return std::vector<int>{w.shape.*members...}; },
          [](Workload& w, std::span<const int> values) {
            std::size_t i = 0;
            ((w.shape.*members = values[i++]), ...);
            return true;
          },
          omitted};
}

template <auto... members>
constexpr OpField of_workload(std::string_view key, Form form = Form::number,
                              std::optional<int> omitted = {}) {
  return {key, form, [](const Workload& w) { return std::vector<int>{w.*members...}; },
          [](Workload& w, std::span<const int> values) {
            std::size_t i = 0;
            ((w.*members = values[i++]), ...);
            return true;
          },
          omitted};
}

template <auto member>
constexpr OpField list(std::string_view key, Form form) {
  return {key, form, [](const Workload& w) { return w.*member; },
          [](Workload& w, std::span<const int> values) {
            (w.*member).assign(values.begin(), values.end());
            return true;
          }};
}

/// One size of an image tensor.
template <int dimension>
constexpr OpField size(std::string_view key) {
  return {key, Form::number, [](const Workload& w) { return std::vector{w.first[dimension]}; },
          [](Workload& w, std::span<const int> values) {
            if (!w.first.is_image()) w.first = {1, 1, 1, 1};
            w.first[dimension] = values[0];
            return true;
          }};
}

inline constexpr OpField kImages = size<0>("n"), kChannels = size<1>("c"), kRows = size<2>("h"),
                         kColumns = size<3>("w");
/// All sizes of a tensor that is no image.
inline constexpr OpField kSizes = {"d", Form::sizes,
                                   [](const Workload& w) {
                                     return std::vector<int>(w.first.sizes().begin(),
                                                             w.first.sizes().end());
                                   },
                                   [](Workload& w, std::span<const int> values) {
                                     if (std::ssize(values) > kMaxRank) return false;
                                     w.first = TensorShape(values);
                                     return true;
                                   }};
inline constexpr OpField kAxis = of_workload<&Workload::axis>("axis", Form::number, 1);
/// Of operations along one axis of a tensor that is no image.
inline constexpr OpField kAxisPlain[] = {kSizes, kAxis};

/// The sizes of a second source or of a result; a single value has none.
constexpr OpField second_sizes(std::string_view key) {
  return {key, Form::sizes,
          [](const Workload& w) {
            return std::vector<int>(w.second.sizes().begin(), w.second.sizes().end());
          },
          [](Workload& w, std::span<const int> values) {
            if (std::ssize(values) > kMaxRank) return false;
            w.second = TensorShape(values);
            return true;
          }};
}

inline constexpr OpField kImageFields[] = {kImages, kChannels, kRows, kColumns};
inline constexpr OpField kPlainFields[] = {kSizes};

constexpr OpField factors(std::string_view key) {
  return {key, Form::pair,
          [](const Workload& w) { return std::vector<int>(w.factors.begin(), w.factors.end()); },
          [](Workload& w, std::span<const int> values) {
            w.factors = {values[0], values[1]};
            return true;
          }};
}
/// Whether rows and columns times their factors are sizes.
inline bool factors_fit(const Workload& w) {
  return w.factors[0] >= 1 && w.factors[1] >= 1 &&
         std::int64_t{w.first.h()} * w.factors[0] <= kMaxDimension &&
         std::int64_t{w.first.w()} * w.factors[1] <= kMaxDimension;
}

inline TensorShape same_shape(const Workload& w) { return w.first; }
inline bool always(const Workload&) { return true; }
template <int count>
double fixed(const Workload&) {
  return count;
}
inline double along_axis(const Workload& w) { return w.first[w.axis]; }
inline bool has_axis(const Workload& w) { return w.axis >= 0 && w.axis < w.first.rank(); }

/// An operation whose tensors have no layouts to choose from, with as much arithmetic for an
/// element of the result as it sums elements.
constexpr OpDescriptor plain_operation(std::string_view name, std::span<const OpField> fields,
                                       TensorShape (*output)(const Workload&),
                                       bool (*valid)(const Workload&),
                                       double (*length)(const Workload&)) {
  return {.name = name,
          .image_fields = {},
          .plain_fields = fields,
          .json_fields = {},
          .constants = {},
          .json_name = {},
          .json_mode = {},
          .output = output,
          .valid = valid,
          .reduction_length = length,
          .arithmetic = length};
}

#define CONVOPT_OP(name) extern const OpDescriptor name;
#include "core/ops/operations.inc"

}  // namespace convopt::ops
