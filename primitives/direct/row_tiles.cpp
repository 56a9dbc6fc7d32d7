#include "primitives/direct/row_tiles.h"

#include <algorithm>

namespace convopt::direct {
namespace {

/// Bit p of mask kw: pixel `first + p` has kernel column kw inside the image.
std::vector<std::uint32_t> columns_inside(const ConvShape& s, int first, int pixels) {
  std::vector<std::uint32_t> masks;
  for (int kw = 0; kw < s.kw; ++kw) {
    std::uint32_t mask = 0;
    for (int p = 0; p < pixels; ++p) {
      const std::int64_t column =
          std::int64_t{first + p} * s.stride_w + std::int64_t{kw} * s.dilation_w - s.pad_left;
      mask |= std::uint32_t{0 <= column && column < s.iw} << p;
    }
    masks.push_back(mask);
  }
  return masks;
}

void add_tile(const ConvShape& s, int first, int pixels, RowTiles& row) {
  const std::vector<std::uint32_t> masks = columns_inside(s, first, pixels);
  const auto reaches = [](std::uint32_t mask) { return mask != 0; };
  const auto begin = std::find_if(masks.begin(), masks.end(), reaches);
  const auto end = std::find_if(masks.rbegin(), masks.rend(), reaches).base();
  Step step = {first, pixels, 1, {0, 0}};
  if (begin < end) {
    step.kernel_columns = {static_cast<int>(begin - masks.begin()),
                           static_cast<int>(end - masks.begin())};
    const std::uint32_t every = (std::uint32_t{1} << pixels) - 1;
    if (std::any_of(begin, end, [&](std::uint32_t mask) { return mask != every; })) {
      step.inside = static_cast<int>(row.inside.size());
      row.inside.insert(row.inside.end(), begin, end);
    }
  }
  const auto is_whole = [&](const Step& of) {
    return of.inside < 0 && of.kernel_columns == Range{0, s.kw};
  };
  if (!row.steps.empty()) {
    Step& last = row.steps.back();
    if (is_whole(step) && is_whole(last) && last.pixels == pixels) {
      ++last.repeat;
      return;
    }
  }
  row.steps.push_back(step);
}

}  // namespace

RowTiles row_tiles(const ConvShape& shape, int most_pixels) {
  RowTiles row;
  for_each_tile_size(0, shape.ow(), most_pixels, [&](int first, int pixels, int repeat) {
    for (int i = 0; i < repeat; ++i) add_tile(shape, first + i * pixels, pixels, row);
  });
  return row;
}

}  // namespace convopt::direct
