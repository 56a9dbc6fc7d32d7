// Operations with a few instructions per element, in every layout: what a plan needs so that no
// operator is impossible in a layout. All wait for memory, so they are written for the compiler's
// vectoriser rather than with explicit SIMD.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "primitives/own.h"

namespace convopt::pointwise {
namespace {

/// A row of a tensor as a loop over pixels sees it: per pixel, `width` neighbouring values, the
/// last `filling` of which are the zeros of a channel tail.
struct Rows {
  explicit Rows(const TensorView& view)
      : block(view.layout == Layout::nhwc ? view.shape.c : channel_block(view.layout)),
        blocks(static_cast<int>(ceil_div(view.shape.c, block))),
        rows(view.shape.h),
        count(std::int64_t{view.shape.n} * blocks * rows) {}

  /// The three indices behind a number in [0, count).
  struct Index {
    int n, block, row;
  };
  Index index(std::int64_t i) const {
    return {static_cast<int>(i / rows / blocks), static_cast<int>(i / rows % blocks),
            static_cast<int>(i % rows)};
  }
  float* row(const TensorView& view, const Index& i) const {
    return view.data + view.offset(i.n, i.block * block, i.row, 0);
  }

  int block;  ///< neighbouring values per pixel
  int blocks;
  int rows;
  std::int64_t count;
};

/// Writes the zeros of a channel tail again after a function that does not keep them.
void clear_tail(const TensorView& view, const Rows::Index& i, const Rows& rows, float* row) {
  const int used = view.shape.c - i.block * rows.block;
  if (used >= rows.block) return;
  for (int w = 0; w < view.shape.w; ++w) {
    std::fill(row + w * view.column_stride + used, row + w * view.column_stride + rows.block, 0.0F);
  }
}

/// Applies the activation to a row that was just written.
void finish_row(ActivateFunction activate, const Activation& activation, const TensorView& view,
                const Rows::Index& i, const Rows& rows, float* row) {
  if (activation.kind == ActivationKind::none) return;
  if (view.column_stride == rows.block) {
    activate(activation, row, std::int64_t{view.shape.w} * rows.block);
  } else {
    for (int w = 0; w < view.shape.w; ++w)
      activate(activation, row + w * view.column_stride, rows.block);
  }
  clear_tail(view, i, rows, row);
}

class ElementwiseKernel final : public WeightlessKernel {
 public:
  ElementwiseKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : op_(info.op),
        activation_(workload.epilogue.activation),
        threads_(context.threads),
        activate_(activate_function(context.isa)) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& a = args.sources[0];
    const TensorView& b = args.sources[op_ == Op::add ? 1 : 0];
    const Rows rows(out);
    const bool gapless = out.column_stride == rows.block && a.column_stride == rows.block &&
                         b.column_stride == rows.block;
    // Without gaps between pixels a row is one stretch.
    const int pixels = gapless ? 1 : out.shape.w;
    const std::int64_t width = gapless ? std::int64_t{out.shape.w} * rows.block : rows.block;
    parallel_for(threads_, rows.count, [&](std::int64_t number) {
      const Rows::Index i = rows.index(number);
      float* const to = rows.row(out, i);
      const float* const from_a = rows.row(a, i);
      const float* const from_b = rows.row(b, i);
      for (int w = 0; w < pixels; ++w) {
        float* const result = to + w * out.column_stride;
        const float* const x = from_a + w * a.column_stride;
        const float* const y = from_b + w * b.column_stride;
        if (op_ == Op::add) {
          for (std::int64_t j = 0; j < width; ++j) result[j] = x[j] + y[j];
        } else {
          std::copy_n(x, width, result);
        }
      }
      finish_row(activate_, activation_, out, i, rows, to);
    });
  }

 private:
  Op op_;
  Activation activation_;
  int threads_;
  ActivateFunction activate_;
};

class ConcatKernel final : public WeightlessKernel {
 public:
  ConcatKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : threads_(context.threads) {
    // Pieces that lie in one block of the source and one of the destination; nhwc is one block.
    const int block = info.input_layout == Layout::nhwc ? std::numeric_limits<int>::max()
                                                        : channel_block(info.input_layout);
    int to = 0;
    for (int source = 0; source < static_cast<int>(workload.parts.size()); ++source) {
      const int channels = workload.parts[static_cast<std::size_t>(source)];
      for (int from = 0; from < channels;) {
        const int room = std::min(block - from % block, block - to % block);
        const int count = std::min(room, channels - from);
        pieces_.push_back({source, from, to, count});
        from += count;
        to += count;
      }
    }
    const int padded = static_cast<int>(padded_channels(to, info.output_layout));
    if (padded > to) pieces_.push_back({-1, 0, to, padded - to});
  }

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const auto pieces = static_cast<std::int64_t>(pieces_.size());
    parallel_for(threads_, pieces * out.shape.n * out.shape.h, [&](std::int64_t number) {
      const int h = static_cast<int>(number % out.shape.h);
      const int n = static_cast<int>(number / out.shape.h % out.shape.n);
      const Piece& piece = pieces_[static_cast<std::size_t>(number / out.shape.h / out.shape.n)];
      float* to = out.data + out.offset(n, piece.to, h, 0);
      if (piece.source < 0) {
        for (int w = 0; w < out.shape.w; ++w) {
          std::fill_n(to + w * out.column_stride, piece.count, 0.0F);
        }
        return;
      }
      const TensorView& in = args.sources[static_cast<std::size_t>(piece.source)];
      const float* from = in.data + in.offset(n, piece.from, h, 0);
      if (in.column_stride == piece.count && out.column_stride == piece.count) {
        std::copy_n(from, std::int64_t{piece.count} * out.shape.w, to);
        return;
      }
      for (int w = 0; w < out.shape.w; ++w) {
        std::copy_n(from + w * in.column_stride, piece.count, to + w * out.column_stride);
      }
    });
  }

 private:
  struct Piece {
    int source;  ///< negative: zeros
    int from, to, count;
  };
  std::vector<Piece> pieces_;
  int threads_;
};

class NearestKernel final : public WeightlessKernel {
 public:
  NearestKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : shape_(workload.shape), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const Rows rows(out);
    parallel_for(threads_, rows.count, [&](std::int64_t number) {
      const Rows::Index i = rows.index(number);
      float* to = rows.row(out, i);
      const float* from =
          in.data + in.offset(i.n, i.block * rows.block, i.row / shape_.stride_h, 0);
      for (int w = 0; w < in.shape.w; ++w, from += in.column_stride) {
        for (int copy = 0; copy < shape_.stride_w; ++copy, to += out.column_stride) {
          std::copy_n(from, rows.block, to);
        }
      }
    });
  }

 private:
  ConvShape shape_;
  int threads_;
};

class BilinearKernel final : public WeightlessKernel {
 public:
  BilinearKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : shape_(workload.shape), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const Rows rows(out);
    parallel_for(threads_, rows.count, [&](std::int64_t number) {
      const Rows::Index i = rows.index(number);
      const Place y = place(i.row, shape_.stride_h, shape_.ih);
      const float* const top = in.data + in.offset(i.n, i.block * rows.block, y.first, 0);
      const float* const bottom = in.data + in.offset(i.n, i.block * rows.block, y.second, 0);
      float* const to = rows.row(out, i);
      for (int w = 0; w < out.shape.w; ++w) {
        const Place x = place(w, shape_.stride_w, shape_.iw);
        const std::int64_t left = x.first * in.column_stride;
        const std::int64_t right = x.second * in.column_stride;
        float* const result = to + w * out.column_stride;
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
  /// Half-pixel centres, clamped into the image.
  static Place place(int i, int factor, int size) {
    const float at = std::clamp((static_cast<float>(i) + 0.5F) / static_cast<float>(factor) - 0.5F,
                                0.0F, static_cast<float>(size - 1));
    const int first = static_cast<int>(at);
    return {first, std::min(first + 1, size - 1), at - static_cast<float>(first)};
  }

  ConvShape shape_;
  int threads_;
};

/// Calls `body(n, h, w, last_w)` for stretches of pixels: short enough that what belongs to them
/// stays in the first-level cache from one pass over the channels to the next.
template <class Body>
void for_pixel_stretches(int threads, const TensorShape& shape, const Body& body) {
  constexpr int kStretch = 16;
  const std::int64_t stretches = ceil_div(shape.w, kStretch);
  parallel_for(threads, std::int64_t{shape.n} * shape.h * stretches, [&](std::int64_t number) {
    const int w = static_cast<int>(number % stretches) * kStretch;
    const int h = static_cast<int>(number / stretches % shape.h);
    const int n = static_cast<int>(number / stretches / shape.h);
    body(n, h, w, std::min(w + kStretch, shape.w));
  });
}

void clear_tail_pixels(const TensorView& view, int n, int h, int first, int last) {
  const auto padded = static_cast<int>(padded_channels(view.shape.c, view.layout));
  for (int w = first; w < last; ++w) {
    for (int c = view.shape.c; c < padded; ++c) view.at(n, c, h, w) = 0;
  }
}

class SoftmaxKernel final : public WeightlessKernel {
 public:
  SoftmaxKernel(const PrimitiveInfo&, const Workload&, const Context& context)
      : threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const int channels = out.shape.c;
    for_pixel_stretches(threads_, out.shape, [&](int n, int h, int first, int last) {
      for (int w = first; w < last; ++w) {
        float maximum = -std::numeric_limits<float>::infinity();
        for (int c = 0; c < channels; ++c) maximum = std::max(maximum, in.at(n, c, h, w));
        double sum = 0;
        for (int c = 0; c < channels; ++c) {
          const float power = std::exp(in.at(n, c, h, w) - maximum);
          out.at(n, c, h, w) = power;
          sum += power;
        }
        const auto scale = static_cast<float>(1 / sum);
        for (int c = 0; c < channels; ++c) out.at(n, c, h, w) *= scale;
      }
      clear_tail_pixels(out, n, h, first, last);
    });
  }

 private:
  int threads_;
};

class LrnKernel final : public WeightlessKernel {
 public:
  LrnKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : workload_(workload), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const int channels = out.shape.c;
    const int window = workload_.shape.kh;
    const float scale = workload_.lrn_alpha / static_cast<float>(window);
    for_pixel_stretches(threads_, out.shape, [&](int n, int h, int first, int last) {
      for (int c = 0; c < channels; ++c) {
        const int from = std::max(0, c - (window - 1) / 2);
        const int to = std::min(channels - 1, c + window / 2);
        for (int w = first; w < last; ++w) {
          float squares = 0;
          for (int i = from; i <= to; ++i) squares += in.at(n, i, h, w) * in.at(n, i, h, w);
          out.at(n, c, h, w) = in.at(n, c, h, w) * factor(workload_.lrn_k + scale * squares);
        }
      }
      clear_tail_pixels(out, n, h, first, last);
    });
  }

 private:
  /// base ^ -beta; for the 0.75 of nearly every network without a general power.
  float factor(float base) const {
    if (workload_.lrn_beta == 0.75F) return 1 / std::sqrt(base * std::sqrt(base));
    return std::pow(base, -workload_.lrn_beta);
  }

  Workload workload_;
  int threads_;
};

template <class KernelType>
std::unique_ptr<Primitive> make(PrimitiveInfo info, const char* description) {
  info.description = description;
  info.revision = "1";
  info.traits.algorithm = Algorithm::copy;
  info.traits.strided_views = true;
  return std::make_unique<WeightlessPrimitive<KernelType>>(std::move(info));
}

}  // namespace

std::unique_ptr<Primitive> make_elementwise(PrimitiveInfo info, const Context&,
                                            std::initializer_list<int>) {
  return make<ElementwiseKernel>(std::move(info), "element by element, activation included");
}

std::unique_ptr<Primitive> make_concat(PrimitiveInfo info, const Context&,
                                       std::initializer_list<int>) {
  return make<ConcatKernel>(std::move(info), "copies channel ranges, at any offset in a block");
}

std::unique_ptr<Primitive> make_nearest(PrimitiveInfo info, const Context&,
                                        std::initializer_list<int>) {
  return make<NearestKernel>(std::move(info), "repeats pixels");
}

std::unique_ptr<Primitive> make_bilinear(PrimitiveInfo info, const Context&,
                                         std::initializer_list<int>) {
  return make<BilinearKernel>(std::move(info), "interpolates between four pixels");
}

std::unique_ptr<Primitive> make_softmax(PrimitiveInfo info, const Context&,
                                        std::initializer_list<int>) {
  return make<SoftmaxKernel>(std::move(info), "maximum, exponentials, division, pixel by pixel");
}

std::unique_ptr<Primitive> make_lrn(PrimitiveInfo info, const Context&,
                                    std::initializer_list<int>) {
  return make<LrnKernel>(std::move(info), "sum of squares over neighbouring channels");
}

}  // namespace convopt::pointwise
