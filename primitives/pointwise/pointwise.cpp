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
      : block(view.layout == Layout::nhwc ? view.shape.c() : channel_block(view.layout)),
        blocks(static_cast<int>(ceil_div(view.shape.c(), block))),
        rows(view.shape.h()),
        count(std::int64_t{view.shape.n()} * blocks * rows) {}

  /// The three indices behind a number in [0, count).
  struct Index {
    int n, block, row;
  };
  Index index(std::int64_t i) const {
    return {static_cast<int>(i / rows / blocks), static_cast<int>(i / rows % blocks),
            static_cast<int>(i % rows)};
  }
  float* row(const TensorView& view, const Index& i) const {
    return view.as<float>() + view.offset(i.n, i.block * block, i.row, 0);
  }

  int block;  ///< neighbouring values per pixel
  int blocks;
  int rows;
  std::int64_t count;
};

/// Calls `body(rows, i, row i of the view)` for all rows.
template <class Body>
void for_each_row(int threads, const TensorView& view, const Body& body) {
  const Rows rows(view);
  parallel_for(threads, rows.count, [&](std::int64_t number) {
    const Rows::Index i = rows.index(number);
    body(rows, i, rows.row(view, i));
  });
}

/// Writes the zeros of a channel tail again after a function that does not keep them.
void clear_tail(const TensorView& view, const Rows::Index& i, const Rows& rows, float* row) {
  const int used = view.shape.c() - i.block * rows.block;
  if (used >= rows.block) return;
  for (int w = 0; w < view.shape.w(); ++w) {
    std::fill(row + w * view.column_stride() + used, row + w * view.column_stride() + rows.block,
              0.0F);
  }
}

/// Applies the activation to a row that was just written.
void finish_row(ActivateFunction activate, const Activation& activation, const TensorView& view,
                const Rows::Index& i, const Rows& rows, float* row) {
  if (activation.kind == ActivationKind::none) return;
  if (view.column_stride() == rows.block) {
    activate(activation, row, std::int64_t{view.shape.w()} * rows.block);
  } else {
    for (int w = 0; w < view.shape.w(); ++w)
      activate(activation, row + w * view.column_stride(), rows.block);
  }
  clear_tail(view, i, rows, row);
}

/// result[j] = x[j] and y[j], or y[0] for all j if `kRepeat`.
template <bool kRepeat>
void combine(Op op, const float* x, const float* y, float* result, std::int64_t count) {
  const auto loop = [&](auto function) {
    if constexpr (kRepeat) {
      const float value = y[0];
      for (std::int64_t j = 0; j < count; ++j) result[j] = function(x[j], value);
    } else {
      for (std::int64_t j = 0; j < count; ++j) result[j] = function(x[j], y[j]);
    }
  };
  switch (op) {
    case Op::multiply:
      return loop([](float a, float b) { return a * b; });
    case Op::subtract:
      return loop([](float a, float b) { return a - b; });
    case Op::divide:
      return loop([](float a, float b) { return a / b; });
    default:
      return loop([](float a, float b) { return a + b; });
  }
}

/// Copies or combines two tensors, of which the second may be repeated along dimensions in which
/// its size is 1.
class ElementwiseKernel final : public WeightlessKernel {
 public:
  ElementwiseKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : op_(info.op),
        clears_tail_(info.op == Op::divide || !workload.parts.empty()),
        activation_(workload.epilogue.activation),
        threads_(context.threads),
        activate_(activate_function(context.isa)) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& a = args.sources[0];
    const int block = Rows(out).block;
    const bool gapless = out.column_stride() == block && a.column_stride() == block;
    const std::int64_t row_width = std::int64_t{out.shape.w()} * block;
    if (op_ == Op::activation) {
      for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
        const float* const from = rows.row(a, i);
        // Without gaps between pixels a row is one stretch.
        for (int w = 0; w < (gapless ? 1 : out.shape.w()); ++w) {
          std::copy_n(from + w * a.column_stride(), gapless ? row_width : rows.block,
                      to + w * out.column_stride());
        }
        finish_row(activate_, activation_, out, i, rows, to);
      });
      return;
    }
    const TensorView& b = args.sources[1];
    const bool repeats_channels = b.shape.c() == 1 && out.shape.c() > 1;
    const bool repeats_columns = b.shape.w() == 1 && out.shape.w() > 1;
    // With one channel per block, pixels are what lies next to each other.
    const bool one_value_per_row = repeats_columns && block == 1 && gapless;
    const bool whole_rows =
        one_value_per_row || (gapless && b.column_stride() == block && !repeats_columns &&
                              (block == 1 || !repeats_channels));
    const bool one_value = one_value_per_row || (repeats_channels && block > 1);
    const std::int64_t width = whole_rows ? row_width : block;
    const std::int64_t step_b = repeats_columns ? 0 : b.column_stride();
    for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
      const float* const from_a = rows.row(a, i);
      const float* const from_b =
          b.as<float>() + b.offset(b.shape.n() == 1 ? 0 : i.n,
                                   repeats_channels ? 0 : i.block * rows.block,
                                   b.shape.h() == 1 ? 0 : i.row, 0);
      for (int w = 0; w < (whole_rows ? 1 : out.shape.w()); ++w) {
        float* const result = to + w * out.column_stride();
        const float* const x = from_a + w * a.column_stride();
        const float* const y = from_b + w * step_b;
        if (one_value) {
          combine<true>(op_, x, y, result, width);
        } else {
          combine<false>(op_, x, y, result, width);
        }
      }
      if (clears_tail_) clear_tail(out, i, rows, to);
      finish_row(activate_, activation_, out, i, rows, to);
    });
  }

 private:
  Op op_;
  bool clears_tail_;  ///< because the operation does not keep its zeros
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
    parallel_for(threads_, pieces * out.shape.n() * out.shape.h(), [&](std::int64_t number) {
      const int h = static_cast<int>(number % out.shape.h());
      const int n = static_cast<int>(number / out.shape.h() % out.shape.n());
      const Piece& piece =
          pieces_[static_cast<std::size_t>(number / out.shape.h() / out.shape.n())];
      float* to = out.as<float>() + out.offset(n, piece.to, h, 0);
      if (piece.source < 0) {
        for (int w = 0; w < out.shape.w(); ++w) {
          std::fill_n(to + w * out.column_stride(), piece.count, 0.0F);
        }
        return;
      }
      const TensorView& in = args.sources[static_cast<std::size_t>(piece.source)];
      const float* from = in.as<float>() + in.offset(n, piece.from, h, 0);
      if (in.column_stride() == piece.count && out.column_stride() == piece.count) {
        std::copy_n(from, std::int64_t{piece.count} * out.shape.w(), to);
        return;
      }
      for (int w = 0; w < out.shape.w(); ++w) {
        std::copy_n(from + w * in.column_stride(), piece.count, to + w * out.column_stride());
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
    for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
      const float* from =
          in.as<float>() + in.offset(i.n, i.block * rows.block, i.row / shape_.stride_h, 0);
      for (int w = 0; w < in.shape.w(); ++w, from += in.column_stride()) {
        for (int copy = 0; copy < shape_.stride_w; ++copy, to += out.column_stride()) {
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
  BilinearKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : shape_(workload.shape),
        corners_(info.op == Op::upsample_corners),
        threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
      const Place y = place(i.row, shape_.stride_h, shape_.ih);
      const float* const top = in.as<float>() + in.offset(i.n, i.block * rows.block, y.first, 0);
      const float* const bottom =
          in.as<float>() + in.offset(i.n, i.block * rows.block, y.second, 0);
      for (int w = 0; w < out.shape.w(); ++w) {
        const Place x = place(w, shape_.stride_w, shape_.iw);
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

  ConvShape shape_;
  bool corners_;
  int threads_;
};

/// Channels taken from other channels: slices and shuffles.
class ChannelKernel final : public WeightlessKernel {
 public:
  ChannelKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : threads_(context.threads) {
    const int count = workload.shape.oc;
    for (int c = 0; c < count; ++c) {
      if (info.op == Op::slice) {
        from_.push_back(workload.parts[0] + c * workload.parts[1]);
      } else {
        const int groups = workload.parts[0];
        from_.push_back(c % groups * (workload.shape.ic / groups) + c / groups);
      }
    }
    // Stretches of channels that lie next to each other on both sides; nhwc is one block.
    const int block = info.input_layout == Layout::nhwc ? std::numeric_limits<int>::max()
                                                        : channel_block(info.input_layout);
    for (int c = 0; c < count; ++c) {
      const bool continues =
          c % block != 0 && from_[c] % block != 0 && from_[c] == from_[c - 1] + 1;
      if (continues) {
        ++pieces_.back().count;
      } else {
        pieces_.push_back({from_[c], c, 1});
      }
    }
    // Copying calls pays from about four channels; below that they are gathered one by one.
    constexpr std::size_t kShortest = 4;
    gathers_ = block > 1 && pieces_.size() * kShortest > from_.size();
  }

  void run(const RunArgs& args) const noexcept override {
    if (gathers_) {
      gather(args);
    } else {
      copy(args);
    }
  }

 private:
  void copy(const RunArgs& args) const {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const auto pieces = static_cast<std::int64_t>(pieces_.size());
    parallel_for(threads_, pieces * out.shape.n() * out.shape.h(), [&](std::int64_t number) {
      const int h = static_cast<int>(number % out.shape.h());
      const int n = static_cast<int>(number / out.shape.h() % out.shape.n());
      const Piece& piece =
          pieces_[static_cast<std::size_t>(number / out.shape.h() / out.shape.n())];
      const float* from = in.as<float>() + in.offset(n, piece.from, h, 0);
      float* to = out.as<float>() + out.offset(n, piece.to, h, 0);
      const bool gapless = in.column_stride() == piece.count && out.column_stride() == piece.count;
      const std::int64_t count = gapless ? std::int64_t{piece.count} * out.shape.w() : piece.count;
      for (int w = 0; w < (gapless ? 1 : out.shape.w()); ++w) {
        std::copy_n(from + w * in.column_stride(), count, to + w * out.column_stride());
      }
      if (piece.to + piece.count < out.shape.c()) return;
      const auto padded = static_cast<int>(padded_channels(out.shape.c(), out.layout));
      for (int w = 0; w < out.shape.w(); ++w) {
        for (int c = out.shape.c(); c < padded; ++c) out.at(n, c, h, w) = 0;
      }
    });
  }

  void gather(const RunArgs& args) const {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const int block = channel_block(in.layout);
    for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
      const int first = i.block * rows.block;
      const int count = std::min(rows.block, out.shape.c() - first);
      const float* from = in.as<float>() + in.offset(i.n, 0, i.row, 0);
      for (int w = 0; w < out.shape.w();
           ++w, to += out.column_stride(), from += in.column_stride()) {
        for (int c = 0; c < count; ++c) {
          const int source = from_[static_cast<std::size_t>(first + c)];
          to[c] = from[source / block * in.channel_stride() + source % block];
        }
        std::fill(to + count, to + rows.block, 0.0F);
      }
    });
  }

  struct Piece {
    int from, to, count;
  };
  std::vector<int> from_;  ///< per channel of the result
  std::vector<Piece> pieces_;
  bool gathers_ = false;
  int threads_;
};

class PadKernel final : public WeightlessKernel {
 public:
  PadKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : shape_(workload.shape), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
      const int row = i.row - shape_.pad_top;
      const bool inside = row >= 0 && row < in.shape.h();
      const float* from =
          inside ? in.as<float>() + in.offset(i.n, i.block * rows.block, row, 0) : nullptr;
      for (int w = 0; w < out.shape.w(); ++w) {
        const int column = w - shape_.pad_left;
        float* const pixel = to + w * out.column_stride();
        if (inside && column >= 0 && column < in.shape.w()) {
          std::copy_n(from + column * in.column_stride(), rows.block, pixel);
        } else {
          std::fill_n(pixel, rows.block, 0.0F);
        }
      }
    });
  }

 private:
  ConvShape shape_;
  int threads_;
};

class DepthToSpaceKernel final : public WeightlessKernel {
 public:
  DepthToSpaceKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : shape_(workload.shape), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const int fh = shape_.stride_h;
    const int fw = shape_.stride_w;
    for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
      const int first = i.block * rows.block;
      const int count = std::min(rows.block, out.shape.c() - first);
      for (int x = 0; x < fw; ++x) {
        for (int c = 0; c < count; ++c) {
          const int channel = ((first + c) * fh + i.row % fh) * fw + x;
          const float* from = in.as<float>() + in.offset(i.n, channel, i.row / fh, 0);
          for (int w = 0; w < in.shape.w(); ++w) {
            to[(w * fw + x) * out.column_stride() + c] = from[w * in.column_stride()];
          }
        }
      }
      clear_tail(out, i, rows, to);
    });
  }

 private:
  ConvShape shape_;
  int threads_;
};

/// In nchw only: in the others no dimension order of the result would be a copy of stretches.
class TransposeKernel final : public WeightlessKernel {
 public:
  TransposeKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : order_(workload.parts), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const std::int64_t strides[4] = {in.batch_stride(), in.channel_stride(), in.row_stride(),
                                     in.column_stride()};
    const auto stride = [&](std::size_t i) { return strides[order_[i]]; };
    const TensorShape& shape = out.shape;
    // Tiles of rows and columns, so that lines of either side are used up while they are cached.
    constexpr int kTile = 16;
    const std::int64_t tiles = ceil_div(shape.h(), kTile);
    parallel_for(threads_, std::int64_t{shape.n()} * shape.c() * tiles, [&](std::int64_t number) {
      const int first = static_cast<int>(number % tiles) * kTile;
      const int last = std::min(first + kTile, shape.h());
      const int c = static_cast<int>(number / tiles % shape.c());
      const int n = static_cast<int>(number / tiles / shape.c());
      const float* const from = in.as<float>() + n * stride(0) + c * stride(1);
      for (int left = 0; left < shape.w(); left += kTile) {
        const int right = std::min(left + kTile, shape.w());
        for (int h = first; h < last; ++h) {
          float* const to = out.as<float>() + out.offset(n, c, h, 0);
          const float* const row = from + h * stride(2);
          for (int w = left; w < right; ++w) to[w * out.column_stride()] = row[w * stride(3)];
        }
      }
    });
  }

 private:
  std::vector<int> order_;
  int threads_;
};

/// Calls `body(n, h, w, last_w)` for stretches of pixels: short enough that what belongs to them
/// stays in the first-level cache from one pass over the channels to the next.
constexpr int kStretch = 16;
template <class Body>
void for_pixel_stretches(int threads, const TensorShape& shape, const Body& body) {
  const std::int64_t stretches = ceil_div(shape.w(), kStretch);
  parallel_for(threads, std::int64_t{shape.n()} * shape.h() * stretches, [&](std::int64_t number) {
    const int w = static_cast<int>(number % stretches) * kStretch;
    const int h = static_cast<int>(number / stretches % shape.h());
    const int n = static_cast<int>(number / stretches / shape.h());
    body(n, h, w, std::min(w + kStretch, shape.w()));
  });
}

void clear_tail_pixels(const TensorView& view, int n, int h, int first, int last) {
  const auto padded = static_cast<int>(padded_channels(view.shape.c(), view.layout));
  for (int w = first; w < last; ++w) {
    for (int c = view.shape.c(); c < padded; ++c) view.at(n, c, h, w) = 0;
  }
}

class SoftmaxKernel final : public WeightlessKernel {
 public:
  SoftmaxKernel(const PrimitiveInfo&, const Workload&, const Context& context)
      : threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const int channels = out.shape.c();
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
    const int channels = out.shape.c();
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

class LayerNormKernel final : public Kernel {
 public:
  LayerNormKernel(const Workload& workload, const Parameters& parameters, const Context& context)
      : channels_(workload.shape.ic),
        epsilon_(workload.epsilon),
        threads_(context.threads),
        scale_shift_(2 * static_cast<std::size_t>(channels_)) {
    std::copy_n(parameters.weights.as<float>(), channels_, scale_shift_.data());
    float* const shift = scale_shift_.data() + channels_;
    for (int c = 0; c < channels_; ++c)
      shift[c] = parameters.bias.as<float>() ? parameters.bias.as<float>()[c] : 0.0F;
  }

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const float* const scale = scale_shift_.data();
    const float* const shift = scale + channels_;
    for_pixel_stretches(threads_, out.shape, [&](int n, int h, int first, int last) {
      float sums[kStretch] = {};
      float factors[kStretch] = {};
      const auto for_each_channel = [&](const auto& body) {
        for (int c = 0; c < channels_; ++c) {
          const float* const from = in.as<float>() + in.offset(n, c, h, first);
          float* const to = out.as<float>() + out.offset(n, c, h, first);
          for (int i = 0; i < last - first; ++i) {
            body(c, i, from[i * in.column_stride()], to[i * out.column_stride()]);
          }
        }
      };
      for_each_channel([&](int, int i, float x, float&) { sums[i] += x; });
      for (float& sum : sums) sum /= static_cast<float>(channels_);  // now the mean
      for_each_channel(
          [&](int, int i, float x, float&) { factors[i] += (x - sums[i]) * (x - sums[i]); });
      for (float& factor : factors) {
        factor = 1 / std::sqrt(factor / static_cast<float>(channels_) + epsilon_);
      }
      for_each_channel([&](int c, int i, float x, float& y) {
        y = (x - sums[i]) * factors[i] * scale[c] + shift[c];
      });
      clear_tail_pixels(out, n, h, first, last);
    });
  }

  std::size_t workspace_bytes() const override { return 0; }
  std::size_t packed_bytes() const override { return scale_shift_.bytes(); }

 private:
  int channels_;
  float epsilon_;
  int threads_;
  AlignedFloats scale_shift_;
};

class LayerNormPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload&, const Context&) const override {
    return Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload& workload, const Context&) const override {
    return 2 * sizeof(float) * static_cast<std::size_t>(workload.shape.ic);
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<LayerNormKernel>(workload, parameters, context));
  }
};

template <class PrimitiveType>
std::unique_ptr<Primitive> make_primitive(PrimitiveInfo info, const char* description) {
  info.description = description;
  info.revision = "1";
  info.traits.algorithm = Algorithm::copy;
  info.traits.strided_views = true;
  return std::make_unique<PrimitiveType>(std::move(info));
}

template <class KernelType>
std::unique_ptr<Primitive> make(PrimitiveInfo info, const char* description) {
  return make_primitive<WeightlessPrimitive<KernelType>>(std::move(info), description);
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

std::unique_ptr<Primitive> make_channels(PrimitiveInfo info, const Context&,
                                         std::initializer_list<int>) {
  return make<ChannelKernel>(std::move(info), "takes channels from other channels");
}

std::unique_ptr<Primitive> make_pad(PrimitiveInfo info, const Context&,
                                    std::initializer_list<int>) {
  return make<PadKernel>(std::move(info), "copies the image into a frame of zeros");
}

std::unique_ptr<Primitive> make_depth_to_space(PrimitiveInfo info, const Context&,
                                               std::initializer_list<int>) {
  return make<DepthToSpaceKernel>(std::move(info), "spreads channels over pixels");
}

std::unique_ptr<Primitive> make_transpose(PrimitiveInfo info, const Context&,
                                          std::initializer_list<int>) {
  return make<TransposeKernel>(std::move(info), "reorders dimensions tile by tile");
}

std::unique_ptr<Primitive> make_layer_norm(PrimitiveInfo info, const Context&,
                                           std::initializer_list<int>) {
  return make_primitive<LayerNormPrimitive>(std::move(info),
                                            "mean, variance, scaling over the channels of a pixel");
}

}  // namespace convopt::pointwise
