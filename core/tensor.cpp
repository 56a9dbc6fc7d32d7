#include "convopt/tensor.hpp"

#include "core/names.h"

namespace convopt {
namespace {

constexpr std::array<std::string_view, kDataTypes.size()> kTypeNames = {
    "f32", "bf16", "f16", "s8", "u8", "s32", "s64", "bool", "f64", "s16", "u16", "u32", "u64"};
constexpr std::array<std::string_view, kLayouts.size()> kLayoutNames = {"nchw", "nhwc", "nChw8c",
                                                                        "nChw16c"};

}  // namespace

std::string_view to_string(DataType type) { return name_in(kTypeNames, type); }
std::optional<DataType> parse_data_type(std::string_view text) {
  return value_named<DataType>(text);
}

std::string_view to_string(Layout layout) { return name_in(kLayoutNames, layout); }
std::optional<Layout> parse_layout(std::string_view text) { return value_named<Layout>(text); }

std::string to_string(const TensorFormat& format) {
  std::string text(to_string(format.layout));
  if (format.type != DataType::f32) text += "_" + std::string(to_string(format.type));
  return text;
}

TensorView TensorView::dense(void* data, DataType type, const TensorShape& shape, Layout layout) {
  TensorView view{data, type, shape, layout};
  if (layout == Layout::nchw) {
    std::int64_t stride = 1;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      view.strides[static_cast<std::size_t>(d)] = stride;
      stride *= shape[d];
    }
    return view;
  }
  const std::int64_t column = layout == Layout::nhwc ? shape.c() : channel_block(layout);
  const std::int64_t row = column * shape.w();
  view.strides = {padded_channels(shape.c(), layout) * shape.h() * shape.w(),
                  layout == Layout::nhwc ? 1 : row * shape.h(), row, column};
  return view;
}

TensorView TensorView::channels(int first, int count) const {
  TensorView view = at_offset(offset(0, first, 0, 0));
  view.shape.c() = count;
  return view;
}

TensorView TensorView::at_offset(std::int64_t elements) const {
  TensorView view = *this;
  view.data =
      static_cast<std::byte*>(data) + elements * static_cast<std::ptrdiff_t>(element_bytes(type));
  return view;
}

bool TensorView::is_dense() const {
  const TensorView whole = dense(data, type, shape, layout);
  for (int d = 0; d < shape.rank(); ++d) {
    // A dimension of one block is never stepped along.
    const std::int64_t steps = layout != Layout::nchw && d == 1
                                   ? padded_channels(shape.c(), layout) / channel_block(layout)
                                   : shape[d];
    const auto at = static_cast<std::size_t>(d);
    if (steps > 1 && strides[at] != whole.strides[at]) return false;
  }
  return true;
}

}  // namespace convopt
