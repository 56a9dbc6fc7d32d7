#include "convopt/tensor.hpp"

#include "core/names.h"

namespace convopt {
namespace {
constexpr std::array<std::string_view, kLayouts.size()> kLayoutNames = {"nchw", "nhwc", "nChw8c",
                                                                        "nChw16c"};
}  // namespace

std::string_view to_string(Layout layout) { return name_in(kLayoutNames, layout); }

std::optional<Layout> parse_layout(std::string_view text) {
  for (const Layout layout : kLayouts) {
    if (to_string(layout) == text) return layout;
  }
  return std::nullopt;
}

TensorView TensorView::dense(float* data, const TensorShape& shape, Layout layout) {
  TensorView view{data, shape, layout};
  view.batch_stride = padded_channels(shape.c, layout) * shape.h * shape.w;
  if (layout == Layout::nhwc) {
    view.channel_stride = 1;
    view.column_stride = shape.c;
    view.row_stride = view.column_stride * shape.w;
  } else {
    view.column_stride = channel_block(layout);
    view.row_stride = view.column_stride * shape.w;
    view.channel_stride = view.row_stride * shape.h;
  }
  return view;
}

TensorView TensorView::channels(int first, int count) const {
  TensorView view = *this;
  view.data += offset(0, first, 0, 0);
  view.shape.c = count;
  return view;
}

bool TensorView::is_dense() const {
  const TensorView whole = dense(data, shape, layout);
  return (shape.n == 1 || batch_stride == whole.batch_stride) &&
         (padded_channels(shape.c, layout) == channel_block(layout) ||
          channel_stride == whole.channel_stride) &&
         (shape.h == 1 || row_stride == whole.row_stride) &&
         (shape.w == 1 || column_stride == whole.column_stride);
}

}  // namespace convopt
