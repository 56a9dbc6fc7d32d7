// Data movement: slices, concatenations, transpositions, gather, scatter, ...
#include <algorithm>
#include <numeric>

#include "core/ops/fields.h"

namespace convopt::ops {
namespace {

/// The channels of an image's parts; in the text of other tensors, their sizes along the axis.
constexpr OpField kParts = {"c", Form::sum, [](const Workload& w) { return w.parts; },
                            [](Workload& w, std::span<const int> values) {
                              if (!w.first.is_image()) return false;
                              w.parts.assign(values.begin(), values.end());
                              if (!w.parts.empty()) w.first.c() = w.parts[0];
                              return true;
                            }};
constexpr OpField kConcatImage[] = {kImages, kParts, kRows, kColumns};
constexpr OpField kConcatPlain[] = {kSizes, kAxis, list<&Workload::parts>("parts", Form::sum)};

bool parts_add_up(const Workload& w) {
  if (!has_axis(w) || w.parts.empty() || w.parts[0] != w.first[w.axis]) return false;
  std::int64_t sum = 0;
  for (const int part : w.parts) {
    if (part < 1) return false;
    sum += part;
  }
  return sum <= kMaxDimension;
}

TensorShape joined(const Workload& w) {
  TensorShape result = w.first;
  result[w.axis] = std::accumulate(w.parts.begin(), w.parts.end(), 0);
  return result;
}

constexpr OpField kCount = of_workload<&Workload::count>("oc");
constexpr OpField kSliceImage[] = {kImages,
                                   size<1>("ic"),
                                   kCount,
                                   kRows,
                                   kColumns,
                                   of_workload<&Workload::begin>("from"),
                                   of_workload<&Workload::step>("step")};
constexpr OpField kSlicePlain[] = {kSizes, kAxis, of_workload<&Workload::begin>("from"),
                                   of_workload<&Workload::count>("count"),
                                   of_workload<&Workload::step>("step")};
constexpr OpField kSliceJson[] = {
    of_workload<&Workload::axis>("axis", Form::number, 1),
    of_workload<&Workload::begin>("first", Form::number, 0),
    of_workload<&Workload::count>("count"),
    of_workload<&Workload::step>("step", Form::number, 1),
};

bool range_fits(const Workload& w) {
  return has_axis(w) && w.begin >= 0 && w.count >= 1 && w.step >= 1 &&
         w.begin + (std::int64_t{w.count} - 1) * w.step < w.first[w.axis];
}

TensorShape sliced(const Workload& w) {
  TensorShape result = w.first;
  result[w.axis] = w.count;
  return result;
}

constexpr OpField kShuffleFields[] = {kImages, kChannels, kRows, kColumns,
                                      of_workload<&Workload::groups>("g")};
constexpr OpField kShuffleJson[] = {of_workload<&Workload::groups>("groups")};

constexpr OpField pads(std::string_view key) {
  return {key, Form::frame,
          [](const Workload& w) { return std::vector<int>(w.pads.begin(), w.pads.end()); },
          [](Workload& w, std::span<const int> values) {
            std::ranges::copy(values, w.pads.begin());
            return true;
          }};
}
constexpr OpField kPadFields[] = {kImages, kChannels, kRows, kColumns, pads("p")};
constexpr OpField kPadJson[] = {pads("padding")};

constexpr OpField kDepthFields[] = {kImages, kChannels, kRows, kColumns, factors("s")};
constexpr OpField kDepthJson[] = {factors("factor")};

constexpr OpField kOrder = list<&Workload::order>("order", Form::digits);
constexpr OpField kTransposeImage[] = {kImages, kChannels, kRows, kColumns, kOrder};
constexpr OpField kTransposePlain[] = {kSizes, kOrder};
constexpr OpField kTransposeJson[] = {kOrder};

bool is_permutation(const Workload& w) {
  std::vector<int> sorted = w.order;
  std::ranges::sort(sorted);
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int>(i)) return false;
  }
  return std::ssize(sorted) == w.first.rank();
}

constexpr OpDescriptor moving(std::string_view name, std::span<const OpField> image_fields,
                              std::span<const OpField> plain_fields,
                              std::span<const OpField> json_fields,
                              TensorShape (*output)(const Workload&),
                              bool (*valid)(const Workload&)) {
  return {.name = name,
          .image_fields = image_fields,
          .plain_fields = plain_fields,
          .json_fields = json_fields,
          .constants = {},
          .json_name = {},
          .json_mode = {},
          .output = output,
          .valid = valid,
          .reduction_length = fixed<1>,
          .arithmetic = fixed<1>};
}

constexpr OpField kExpandPlain[] = {kSizes, second_sizes("to")};

bool expands(const Workload& w) {
  if (w.second.rank() != w.first.rank()) return false;
  for (int d = 0; d < w.first.rank(); ++d) {
    if (w.first[d] != 1 && w.first[d] != w.second[d]) return false;
  }
  return true;
}

constexpr OpField kGatherPlain[] = {kSizes, kAxis, second_sizes("at")};

bool has_gather_axis(const Workload& w) {
  return has_axis(w) && w.first.rank() - 1 + w.second.rank() <= kMaxRank;
}

/// The axis replaced by the dimensions of the indices.
TensorShape gathered(const Workload& w) {
  std::vector<int> sizes(w.first.sizes().begin(), w.first.sizes().end());
  const auto at = sizes.erase(sizes.begin() + w.axis);
  sizes.insert(at, w.second.sizes().begin(), w.second.sizes().end());
  return TensorShape(sizes);
}

bool fits_but_for_axis(const Workload& w) {
  if (!has_axis(w) || w.second.rank() != w.first.rank()) return false;
  for (int d = 0; d < w.first.rank(); ++d) {
    if (d != w.axis && w.second[d] > w.first[d]) return false;
  }
  return true;
}

constexpr OpDescriptor indexing(std::string_view name, TensorShape (*output)(const Workload&),
                                bool (*valid)(const Workload&)) {
  OpDescriptor result = moving(name, {}, kGatherPlain, {}, output, valid);
  result.sources = 2;
  return result;
}

/// What is written: one element per index, or one slice.
TensorShape scattered(const Workload& w) {
  if (w.second.rank() == w.first.rank()) return w.second;
  TensorShape result = w.first;
  result[w.axis] = w.second[0];
  return result;
}

bool scatters(const Workload& w) {
  return fits_but_for_axis(w) || (has_axis(w) && w.second.rank() == 1);
}

/// How many values may meet in one element.
double most_meeting(const Workload& w) { return scattered(w)[w.axis]; }

constexpr OpDescriptor scattering(std::string_view name) {
  OpDescriptor result = indexing(name, same_shape, scatters);
  result.sources = 3;
  result.third = scattered;
  result.arithmetic = [](const Workload& w) {
    return 1 +
           static_cast<double>(scattered(w).elements()) / static_cast<double>(w.first.elements());
  };
  return result;
}

constexpr OpDescriptor accumulation(std::string_view name) {
  OpDescriptor result = scattering(name);
  result.reduction_length = most_meeting;
  return result;
}

constexpr OpDescriptor concatenation() {
  OpDescriptor result = moving("concat", kConcatImage, kConcatPlain, {}, joined, parts_add_up);
  result.sources = kAsManyAsParts;
  return result;
}

}  // namespace

constinit const OpDescriptor kConcat = concatenation();
constinit const OpDescriptor kSlice =
    moving("slice", kSliceImage, kSlicePlain, kSliceJson, sliced, range_fits);
constinit const OpDescriptor kShuffle =
    moving("shuffle", kShuffleFields, {}, kShuffleJson, same_shape,
           [](const Workload& w) { return w.groups >= 1 && w.first.c() % w.groups == 0; });
constinit const OpDescriptor kPad = moving(
    "pad", kPadFields, {}, kPadJson,
    [](const Workload& w) {
      return TensorShape{w.first.n(), w.first.c(), w.first.h() + w.pads[0] + w.pads[1],
                         w.first.w() + w.pads[2] + w.pads[3]};
    },
    [](const Workload& w) {
      return std::ranges::all_of(w.pads, [](int pad) { return pad >= 0 && pad <= kMaxPadding; });
    });
constinit const OpDescriptor kDepthToSpace = moving(
    "depth_to_space", kDepthFields, {}, kDepthJson,
    [](const Workload& w) {
      return TensorShape{w.first.n(), w.first.c() / w.factors[0] / w.factors[1],
                         w.first.h() * w.factors[0], w.first.w() * w.factors[1]};
    },
    [](const Workload& w) {
      return factors_fit(w) && w.first.c() % (std::int64_t{w.factors[0]} * w.factors[1]) == 0;
    });
constinit const OpDescriptor kExpand = moving(
    "expand", {}, kExpandPlain, {}, [](const Workload& w) { return w.second; }, expands);
constinit const OpDescriptor kGather = indexing("gather", gathered, has_gather_axis);
constinit const OpDescriptor kGatherElements = indexing(
    "gather_elements", [](const Workload& w) { return w.second; }, fits_but_for_axis);
constinit const OpDescriptor kScatter = scattering("scatter");
constinit const OpDescriptor kScatterAdd = accumulation("scatter_add");
constinit const OpDescriptor kScatterMultiply = accumulation("scatter_multiply");
constinit const OpDescriptor kScatterMaximum = scattering("scatter_maximum");
constinit const OpDescriptor kScatterMinimum = scattering("scatter_minimum");
constinit const OpDescriptor kTranspose = moving(
    "transpose", kTransposeImage, kTransposePlain, kTransposeJson,
    [](const Workload& w) {
      TensorShape result = w.first;
      for (int d = 0; d < result.rank(); ++d) {
        result[d] = w.first[w.order[static_cast<std::size_t>(d)]];
      }
      return result;
    },
    is_permutation);

}  // namespace convopt::ops
