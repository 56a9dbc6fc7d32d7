// 1x1 convolution as one level of Strassen's matrix product in Winograd's form: pixels, input and
// output channels in halves, seven products of quarters instead of eight. Of its fifteen sums four
// are of weights and formed beforehand, six happen where a product is written, and five take a pass
// of their own: four of quarters of the image, one of a quarter of the result.
#include <algorithm>
#include <utility>
#include <vector>

#include "primitives/blocking.h"
#include "primitives/gemm/gemm.h"
#include "primitives/gemm/product_kernel.h"
#include "primitives/own.h"
#include "primitives/strassen/sums.h"

namespace convopt::strassen {
namespace {

constexpr int kLine = 64 / sizeof(float);
constexpr int kFewestRows = 8, kMostPixels = 256;
/// Sums cost in proportion to one number of channels what they save in proportion to the other.
/// Fewer than these were not tried; with warm weights they win from 512 on.
constexpr int kFewestChannels = 64;

/// The products, in the order of the packed weights.
enum Operand { kB11, kB21, kT2, kT1, kB22, kT3, kT4, kProducts };

struct Plan {
  const gemm::Kernels& kernels;
  gemm::Sharing sharing;
  int half_ic, left_oc, right_oc;    ///< left_oc is whole vectors
  std::int64_t sum_row, result_row;  ///< strides; no power of two, so that rows share no cache set

  Plan(const ConvShape& shape, const Context& context)
      : kernels(gemm::kernels(context.isa)),
        sharing(shape.n, shape.oh() * shape.ow(), shape.oc, most_pixels(shape, context.caches), 2,
                shape.oc, context.threads),
        half_ic(shape.ic / 2),
        left_oc(static_cast<int>(round_up(ceil_div(shape.oc, 2), kernels.lanes))),
        right_oc(shape.oc - left_oc),
        sum_row(round_up(half_ic, kLine) + kLine),
        result_row(round_up(left_oc, kLine) + kLine) {}

  /// Half of a block's rows times half of the input channels stay in L2 beside a panel of weights.
  /// A first guess that was kept: other shares were not tried.
  static int most_pixels(const ConvShape& shape, const Caches& caches) {
    const std::int64_t fit =
        image_block_bytes(caches) / (shape.ic * std::int64_t{sizeof(float)} / 2);
    return static_cast<int>(
        std::min<std::int64_t>(2 * std::max<std::int64_t>(fit, kFewestRows), kMostPixels));
  }
  int half_rows() const { return static_cast<int>(ceil_div(sharing.block_pixels, 2)); }
  std::int64_t sum_floats() const { return half_rows() * sum_row; }
  std::int64_t result_floats() const { return half_rows() * result_row; }
  std::size_t task_floats(const ConvShape&) const {
    return static_cast<std::size_t>(sum_floats() + 4 * result_floats());
  }
  std::int64_t matrix_floats() const { return gemm::packed_floats(kernels, half_ic, left_oc); }
  std::size_t weight_floats(const ConvShape&) const {
    return static_cast<std::size_t>(kProducts * matrix_floats());
  }
};

class StrassenKernel final : public gemm::ProductKernel {
 public:
  StrassenKernel(const Workload& workload, const Parameters& parameters, const Context& context,
                 const Plan& plan)
      : gemm::ProductKernel(workload, context, plan.sharing, plan.task_floats(workload.shape),
                            plan.weight_floats(workload.shape)),
        plan_(plan),
        add_up_(sum_function(context.isa)) {
    copy_bias(parameters.bias.as<float>());
    pack(parameters.weights.as<float>());
  }

 private:
  void pack(const float* weights) {
    const int k = plan_.half_ic, columns = plan_.left_oc;
    std::fill_n(weights_.data(), weights_.size(), 0.0F);
    std::vector<float> rows(static_cast<std::size_t>(columns) * kProducts);
    for (int i = 0; i < k; ++i) {
      for (int j = 0; j < columns; ++j) {
        const float* const left = weights + std::int64_t{j} * shape_.ic + i;
        const float* const right = left + std::int64_t{columns} * shape_.ic;
        const bool exists = j < plan_.right_oc;
        const double b11 = left[0], b21 = left[k];
        const double b12 = exists ? right[0] : 0, b22 = exists ? right[k] : 0;
        const double t1 = b12 - b11, t2 = b22 - t1;
        // The last one with its sign turned, since products are added.
        const double values[] = {b11, b21, t2, t1, b22, b22 - b12, b21 - t2};
        for (int p = 0; p < kProducts; ++p) {
          rows[static_cast<std::size_t>(p * columns + j)] = static_cast<float>(values[p]);
        }
      }
      for (int p = 0; p < kProducts; ++p) {
        // B22 is used for right columns only.
        gemm::pack_row(kernels_, k, p == kB22 ? plan_.right_oc : columns, i,
                       rows.data() + p * columns, weights_.data() + p * plan_.matrix_floats());
      }
    }
  }

  void compute(const RunArgs& args, const gemm::Task& task, float* scratch) const override {
    const bool join = gemm::rows_join(args.sources[0]) && gemm::rows_join(args.destination) &&
                      (!residual_ || gemm::rows_join(args.residual));
    gemm::for_each_row_of(task, join, shape_.ow(), [&](int pixel, int pixels) {
      compute_pixels(args, task.image, pixel, pixels, scratch);
    });
  }

  /// Pixels as an upper and a lower half of rows. If their number is odd, both halves have the
  /// middle one; the upper half writes it.
  struct Halves {
    int image, row, column;  ///< of the first pixel
    int half, lower;         ///< pixels of a half, first one of the lower half
    float *s, *w1, *w2, *w3, *w4;

    Halves(const Plan& plan, int of_image, int width, int pixel, int pixels, float* scratch)
        : image(of_image),
          row(pixel / width),
          column(pixel % width),
          half(static_cast<int>(ceil_div(pixels, 2))),
          lower(pixels - half),
          s(scratch),
          w1(s + plan.sum_floats()),
          w2(w1 + plan.result_floats()),
          w3(w2 + plan.result_floats()),
          w4(w3 + plan.result_floats()) {}
  };

  void compute_pixels(const RunArgs& args, int image, int pixel, int pixels, float* scratch) const {
    const Halves h(plan_, image, shape_.ow(), pixel, pixels, scratch);
    const TensorView& source = args.sources[0];
    const std::int64_t a_stride = source.column_stride();
    const float* const a = source.as<float>() + source.offset(image, 0, h.row, h.column);
    const Term a11{a, a_stride}, a12{a + plan_.half_ic, a_stride};
    const Term a21{a + h.lower * a_stride, a_stride};
    const Term a22{a21.data + plan_.half_ic, a_stride};
    const Term sum{h.s, plan_.sum_row};
    const auto multiply = [&](const Term& operand, Operand weights, float* to, const float* added) {
      gemm::multiply(kernels_, product(operand, weights, to, added, h.half));
    };

    multiply(a11, kB11, h.w1, nullptr);
    add(h, {a21, a22}, {a11});
    multiply(sum, kT2, h.w2, h.w1);
    finish(args, h, a12, kB21, h.w1, false, false);
    add(h, {a21, a22}, {});
    multiply(sum, kT1, h.w3, h.w2);
    add(h, {a11, a12}, {a21, a22});
    finish(args, h, sum, kB22, h.w3, false, true);
    add(h, {a11}, {a21});
    multiply(sum, kT3, h.w1, h.w2);
    finish(args, h, a22, kT4, h.w1, true, false);
    finish(args, h, {}, kProducts, nullptr, true, true);
  }

  /// Adds quarters of the image up to S.
  void add(const Halves& h, std::initializer_list<Term> plus,
           std::initializer_list<Term> minus) const {
    Sum of;
    of.to = h.s;
    of.to_stride = plan_.sum_row;
    of.rows = h.half;
    of.columns = plan_.half_ic;
    of.plus_count = static_cast<int>(plus.size());
    of.minus_count = static_cast<int>(minus.size());
    std::copy(plus.begin(), plus.end(), of.plus);
    std::copy(minus.begin(), minus.end(), of.minus);
    add_up_(of);
  }

  /// Writes a quarter of the destination: operand times weights + added, or w1 - w2 + w3 where
  /// there is no operand; with bias, residual and activation.
  void finish(const RunArgs& args, const Halves& h, const Term& operand, Operand weights,
              const float* added, bool below, bool right) const {
    const int skipped = below ? h.half - h.lower : 0;  // the pixel that the upper half wrote
    const int first = below ? h.lower + skipped : 0, rows = h.half - skipped;
    const int channel = right ? plan_.left_oc : 0;
    const auto corner = [&](const TensorView& view) {
      return view.as<float>() + view.offset(h.image, channel, h.row, h.column) +
             first * view.column_stride();
    };
    const std::int64_t skip = skipped * plan_.result_row;
    Sum of;
    of.to = corner(args.destination);
    of.to_stride = args.destination.column_stride();
    of.rows = rows;
    of.columns = right ? plan_.right_oc : plan_.left_oc;
    of.clamp = last_write_.clamps();
    of.low = last_write_.low;
    of.high = last_write_.high;
    if (operand.data != nullptr) {
      const Term rest{operand.data + skipped * operand.stride, operand.stride};
      gemm::Product last = product(rest, weights, residual_ ? h.w4 : of.to, added + skip, rows);
      last.columns = of.columns;
      last.column_bias = bias_.data() + channel;
      if (!residual_) {
        last.c_row_stride = of.to_stride;
        last.clamp = of.clamp;
        last.low = of.low;
        last.high = of.high;
      }
      gemm::multiply(kernels_, last);
      of.plus[of.plus_count++] = {h.w4, plan_.result_row};
    } else {
      of.plus[of.plus_count++] = {h.w1 + skip, plan_.result_row};
      of.plus[of.plus_count++] = {h.w3 + skip, plan_.result_row};
      of.minus[of.minus_count++] = {h.w2 + skip, plan_.result_row};
      of.plus[of.plus_count++] = {bias_.data() + channel, 0};
    }
    if (residual_) {
      of.plus[of.plus_count++] = {corner(args.residual), args.residual.column_stride()};
    }
    if (residual_ || operand.data == nullptr) add_up_(of);
    activate_rows(of.to, of.to_stride, rows, of.columns);
  }

  gemm::Product product(const Term& operand, Operand weights, float* to, const float* added,
                        int rows) const {
    gemm::Product product;
    product.rows = rows;
    product.columns = plan_.left_oc;
    product.k = plan_.half_ic;
    product.a = operand.data;
    product.a_row_stride = operand.stride;
    product.b = weights_.data() + weights * plan_.matrix_floats();
    product.c = to;
    product.c_row_stride = plan_.result_row;
    product.residual = added;
    product.residual_row_stride = plan_.result_row;
    return product;
  }

  Plan plan_;
  SumFunction add_up_;
};

class StrassenPrimitive final : public gemm::ProductPrimitive<StrassenKernel, Plan> {
 public:
  using ProductPrimitive::ProductPrimitive;

  Applicability applicability(const Workload& workload, const Context& context) const override {
    const ConvShape& shape = workload.shape;
    const bool plain = shape.kh == 1 && shape.kw == 1 && shape.stride_h == 1 &&
                       shape.stride_w == 1 && shape.pad_top == 0 && shape.pad_bottom == 0 &&
                       shape.pad_left == 0 && shape.pad_right == 0 && shape.groups == 1;
    if (!plain) return Applicability::no("only 1x1 of stride 1 without padding and groups");
    if (shape.ic % 2 != 0) return Applicability::no("an odd number of input channels has no half");
    if (shape.ic < kFewestChannels || shape.oc < kFewestChannels) {
      return Applicability::no("too few channels for sums to cost less than they save");
    }
    return ProductPrimitive::applicability(workload, context);
  }
};

}  // namespace

std::unique_ptr<Primitive> make_strassen(PrimitiveInfo info, const Context& context,
                                         std::initializer_list<int>) {
  info =
      gemm::product_info(std::move(info), context, Algorithm::gemm, gemm::OutputChannels::columns,
                         "1", "one level of Strassen's matrix product: seven products of quarters");
  info.traits.packed_bytes_per_input_byte = 1;  // four sums of quarters
  // Measured 0.6 to 2.4 times direct's error, 512 and 1024 channels, 1.6 in the middle.
  info.traits.error_amplification = 2;
  return std::make_unique<StrassenPrimitive>(std::move(info));
}

}  // namespace convopt::strassen
