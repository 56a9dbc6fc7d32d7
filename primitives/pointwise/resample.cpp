// Images of more pixels.
#include <algorithm>
#include <array>

#include "primitives/pointwise/rows.h"

namespace convopt::pointwise {
namespace {

class NearestKernel final : public WeightlessKernel {
 public:
  NearestKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : factors_(workload.factors), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
      const float* from =
          in.as<float>() + in.offset(i.n, i.block * rows.block, i.row / factors_[0], 0);
      for (int w = 0; w < in.shape.w(); ++w, from += in.column_stride()) {
        for (int copy = 0; copy < factors_[1]; ++copy, to += out.column_stride()) {
          std::copy_n(from, rows.block, to);
        }
      }
    });
  }

 private:
  std::array<int, 2> factors_;  ///< of rows and columns
  int threads_;
};

class BilinearKernel final : public WeightlessKernel {
 public:
  BilinearKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : factors_(workload.factors),
        corners_(info.op == Op::upsample_corners),
        threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
      const Place y = place(i.row, factors_[0], in.shape.h());
      const float* const top = in.as<float>() + in.offset(i.n, i.block * rows.block, y.first, 0);
      const float* const bottom =
          in.as<float>() + in.offset(i.n, i.block * rows.block, y.second, 0);
      for (int w = 0; w < out.shape.w(); ++w) {
        const Place x = place(w, factors_[1], in.shape.w());
        const std::int64_t left = x.first * in.column_stride();
        const std::int64_t right = x.second * in.column_stride();
        float* const result = to + w * out.column_stride();
        for (int c = 0; c < rows.block; ++c) {
          const float above = top[left + c] + x.weight * (top[right + c] - top[left + c]);
          const float below = bottom[left + c] + x.weight * (bottom[right + c] - bottom[left + c]);
          result[c] = above + y.weight * (below - above);
        }
      }
    });
  }

 private:
  struct Place {
    int first, second;
    float weight;  ///< of `second`
  };
  /// Half-pixel centres, clamped into the image; or corners on corners.
  Place place(int i, int factor, int size) const {
    if (corners_) {
      // The whole part exactly: a rounded quotient next to an integer would be another pixel.
      const std::int64_t last = std::max<std::int64_t>(std::int64_t{size} * factor - 1, 1);
      const std::int64_t at = std::int64_t{i} * (size - 1);
      const int first = static_cast<int>(at / last);
      return {first, std::min(first + 1, size - 1),
              static_cast<float>(at % last) / static_cast<float>(last)};
    }
    const float at = std::clamp((static_cast<float>(i) + 0.5F) / static_cast<float>(factor) - 0.5F,
                                0.0F, static_cast<float>(size - 1));
    const int first = static_cast<int>(at);
    return {first, std::min(first + 1, size - 1), at - static_cast<float>(first)};
  }

  std::array<int, 2> factors_;  ///< of rows and columns
  bool corners_;
  int threads_;
};

}  // namespace

std::unique_ptr<Primitive> make_nearest(PrimitiveInfo info, const Context&,
                                        std::initializer_list<int>) {
  return make<NearestKernel>(std::move(info), "repeats pixels");
}

std::unique_ptr<Primitive> make_bilinear(PrimitiveInfo info, const Context&,
                                         std::initializer_list<int>) {
  return make<BilinearKernel>(std::move(info), "interpolates between four pixels");
}

}  // namespace convopt::pointwise
