// Activations, and two tensors combined element by element.
#include <utility>

#include "primitives/pointwise/combine.h"
#include "primitives/pointwise/rows.h"

namespace convopt::pointwise {
namespace {

/// Pixels one after the other, of `width` neighbouring values each.
struct Pixels {
  int count;
  std::int64_t width;
  std::int64_t step_x, step_y, step_result;
};

/// result[j] = x[j] and y[j], or y[0] for all j if `kRepeat`, for every pixel. kWidth: theirs where
/// it is known, so that a pixel is a few vectors and no loop.
template <bool kRepeat, int kWidth, class Function>
void combine_pixels(Function function, const float* x, const float* y, float* __restrict result,
                    const Pixels& pixels) {
  const std::int64_t width = kWidth > 0 ? kWidth : pixels.width;
  for (int i = 0; i < pixels.count; ++i) {
    const float repeated = y[0];
    for (std::int64_t j = 0; j < width; ++j) result[j] = function(x[j], kRepeat ? repeated : y[j]);
    x += pixels.step_x;
    y += pixels.step_y;
    result += pixels.step_result;
  }
}

template <bool kRepeat, int kWidth>
void combine(Op op, const float* x, const float* y, float* result, const Pixels& pixels) {
  with_function(
      op, [&](auto function) { combine_pixels<kRepeat, kWidth>(function, x, y, result, pixels); });
}

template <bool kRepeat>
void combine(Op op, const float* x, const float* y, float* result, const Pixels& pixels) {
  switch (pixels.width) {
    case 8:
      return combine<kRepeat, 8>(op, x, y, result, pixels);
    case 16:
      return combine<kRepeat, 16>(op, x, y, result, pixels);
    default:
      return combine<kRepeat, 0>(op, x, y, result, pixels);
  }
}

/// Activates a tensor or combines two, of which the second may be repeated along dimensions in
/// which its size is 1.
class ElementwiseKernel final : public WeightlessKernel {
 public:
  ElementwiseKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : op_(info.op),
        clears_tail_(info.op != Op::activation && (workload.repeats() || !keeps_zeros(info.op))),
        activation_(workload.epilogue.activation),
        threads_(context.threads),
        activate_(activate_rows_function(context.isa)) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& a = args.sources[0];
    const int block = Rows(out).block;
    if (op_ == Op::activation) {
      for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
        activate_(activation_, {rows.row(a, i), to, block, out.shape.w(), a.column_stride(),
                                out.column_stride()});
        clear_tail(out, i, rows, to);
      });
      return;
    }
    const TensorView& b = args.sources[1];
    const bool gapless = out.column_stride() == block && a.column_stride() == block;
    const std::int64_t row_width = std::int64_t{out.shape.w()} * block;
    const bool repeats_channels = b.shape.c() == 1 && out.shape.c() > 1;
    const bool repeats_columns = b.shape.w() == 1 && out.shape.w() > 1;
    // Pixels lie next to each other where a block has one channel.
    const bool one_value_per_row = repeats_columns && block == 1 && gapless;
    const bool whole_rows =
        one_value_per_row || (gapless && b.column_stride() == block && !repeats_columns &&
                              (block == 1 || !repeats_channels));
    const bool one_value = one_value_per_row || (repeats_channels && block > 1);
    const Pixels pixels =
        whole_rows ? Pixels{1, row_width, 0, 0, 0}
                   : Pixels{out.shape.w(), block, a.column_stride(),
                            repeats_columns ? 0 : b.column_stride(), out.column_stride()};
    for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
      const float* const from_a = rows.row(a, i);
      const float* const from_b =
          b.as<float>() + b.offset(b.shape.n() == 1 ? 0 : i.n,
                                   repeats_channels ? 0 : i.block * rows.block,
                                   b.shape.h() == 1 ? 0 : i.row, 0);
      if (one_value) {
        combine<true>(op_, from_a, from_b, to, pixels);
      } else {
        combine<false>(op_, from_a, from_b, to, pixels);
      }
      if (clears_tail_) clear_tail(out, i, rows, to);
      if (activation_.kind == ActivationKind::none) return;
      activate_(activation_,
                ActivatedRows::in_place(to, block, out.shape.w(), out.column_stride()));
      clear_tail(out, i, rows, to);
    });
  }

 private:
  Op op_;
  bool clears_tail_;  ///< because the operation does not keep its zeros
  Activation activation_;
  int threads_;
  ActivateRowsFunction activate_;
};

}  // namespace

std::unique_ptr<Primitive> make_elementwise(PrimitiveInfo info, const Context&,
                                            std::initializer_list<int>) {
  const int revision = info.op == Op::activation ? 3 : 2;
  return make<ElementwiseKernel>(std::move(info), "element by element, activation included",
                                 revision);
}

}  // namespace convopt::pointwise
