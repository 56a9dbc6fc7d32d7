// Values that only change their place: concatenations, slices, shuffles, frames of zeros.
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "primitives/pointwise/rows.h"

namespace convopt::pointwise {
namespace {

class ConcatKernel final : public WeightlessKernel {
 public:
  ConcatKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : threads_(context.threads) {
    // Pieces that lie in one block of the source and one of the destination.
    const int block = channel_block(info.input_layout);
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
    const int threads = threads_for(threads_, out.shape.elements(), kLeastValues);
    parallel_for(threads, pieces * out.shape.n() * out.shape.h(), [&](std::int64_t number) {
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

/// to[i * groups + g] = from[g * columns + i]: the channels of one pixel of a shuffle in nhwc.
template <class Number>
void interleave(const Number* __restrict from, Number* __restrict to, int groups, int columns) {
  const auto with = [&](auto constant) {
    for (int i = 0; i < columns; ++i) {
      for (int g = 0; g < constant; ++g) to[i * constant + g] = from[g * columns + i];
    }
  };
  // The compiler makes vectors of the numbers of groups that networks have.
  switch (groups) {
    case 2:
      return with(std::integral_constant<int, 2>());
    case 4:
      return with(std::integral_constant<int, 4>());
    case 8:
      return with(std::integral_constant<int, 8>());
    default:
      for (int g = 0; g < groups; ++g) {
        for (int i = 0; i < columns; ++i) to[i * groups + g] = from[g * columns + i];
      }
  }
}

/// Channels taken from other channels: slices and shuffles.
template <class Number>
class ChannelKernel final : public WeightlessKernel {
 public:
  ChannelKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : threads_(context.threads) {
    const int count = workload.output().c();
    std::vector<int> from;  // per channel of the result
    for (int c = 0; c < count; ++c) {
      if (info.op == Op::slice) {
        from.push_back(workload.begin + c * workload.step);
      } else {
        const int groups = workload.groups;
        from.push_back(c % groups * (count / groups) + c / groups);
      }
    }
    // Pieces are channels that lie next to each other on both sides; nhwc is one block.
    const int block = info.input_layout == Layout::nhwc ? std::numeric_limits<int>::max()
                                                        : channel_block(info.input_layout);
    for (int c = 0; c < count; ++c) {
      const bool continues = c % block != 0 && from[c] % block != 0 && from[c] == from[c - 1] + 1;
      if (continues) {
        ++pieces_.back().count;
      } else {
        pieces_.push_back({from[c], c, 1});
      }
    }
    // Copying calls pays from about four channels; below that they are gathered one by one.
    constexpr std::size_t kShortest = 4;
    gathers_ = block > 1 && pieces_.size() * kShortest > from.size();
    if (info.op == Op::shuffle && info.input_layout == Layout::nhwc) groups_ = workload.groups;
    for (const int c : from) places_.push_back({c / block, c % block});
  }

  void run(const RunArgs& args) const noexcept override {
    if (!gathers_) {
      copy(args);
    } else if (groups_ > 1) {
      shuffle(args);
    } else {
      gather(args);
    }
  }

 private:
  void copy(const RunArgs& args) const {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const auto pieces = static_cast<std::int64_t>(pieces_.size());
    const int threads = threads_for(threads_, out.shape.elements(), kLeastValues);
    parallel_for(threads, pieces * out.shape.n() * out.shape.h(), [&](std::int64_t number) {
      const int h = static_cast<int>(number % out.shape.h());
      const int n = static_cast<int>(number / out.shape.h() % out.shape.n());
      const Piece& piece =
          pieces_[static_cast<std::size_t>(number / out.shape.h() / out.shape.n())];
      const Number* from = in.as<Number>() + in.offset(n, piece.from, h, 0);
      Number* to = out.as<Number>() + out.offset(n, piece.to, h, 0);
      const bool gapless = in.column_stride() == piece.count && out.column_stride() == piece.count;
      const std::int64_t count = gapless ? std::int64_t{piece.count} * out.shape.w() : piece.count;
      for (int w = 0; w < (gapless ? 1 : out.shape.w()); ++w) {
        std::copy_n(from + w * in.column_stride(), count, to + w * out.column_stride());
      }
      if (piece.to + piece.count < out.shape.c()) return;
      const auto padded = static_cast<int>(padded_channels(out.shape.c(), out.layout));
      for (int w = 0; w < out.shape.w(); ++w) {
        Number* const pixel = to + w * out.column_stride();
        std::fill(pixel + piece.count, pixel + padded - piece.to, Number{0});
      }
    });
  }

  void gather(const RunArgs& args) const {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    for_each_row<Number>(threads_, out, [&](const Rows& rows, const Rows::Index& i, Number* to) {
      const int first = i.block * rows.block;
      const int count = std::min(rows.block, out.shape.c() - first);
      const Number* from = in.as<Number>() + in.offset(i.n, 0, i.row, 0);
      for (int w = 0; w < out.shape.w();
           ++w, to += out.column_stride(), from += in.column_stride()) {
        for (int c = 0; c < count; ++c) {
          const Place& place = places_[static_cast<std::size_t>(first + c)];
          to[c] = from[place.block * in.channel_stride() + place.lane];
        }
        std::fill(to + count, to + rows.block, Number{0});
      }
    });
  }

  void shuffle(const RunArgs& args) const {
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const int columns = out.shape.c() / groups_;
    for_each_row<Number>(threads_, out, [&](const Rows&, const Rows::Index& i, Number* to) {
      const Number* from = in.as<Number>() + in.offset(i.n, 0, i.row, 0);
      for (int w = 0; w < out.shape.w(); ++w) {
        interleave(from + w * in.column_stride(), to + w * out.column_stride(), groups_, columns);
      }
    });
  }

  struct Piece {
    int from, to, count;
  };
  /// Where a channel lies in its layout.
  struct Place {
    int block, lane;
  };
  std::vector<Place> places_;  ///< where each channel of the result comes from
  std::vector<Piece> pieces_;
  bool gathers_ = false;
  int groups_ = 1;  ///< of a shuffle in nhwc
  int threads_;
};

class PadKernel final : public WeightlessKernel {
 public:
  PadKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : top_(workload.pads[0]), left_(workload.pads[2]), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    for_each_row(threads_, out, [&](const Rows& rows, const Rows::Index& i, float* to) {
      const int row = i.row - top_;
      const bool inside = row >= 0 && row < in.shape.h();
      const float* from =
          inside ? in.as<float>() + in.offset(i.n, i.block * rows.block, row, 0) : nullptr;
      for (int w = 0; w < out.shape.w(); ++w) {
        const int column = w - left_;
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
  int top_, left_;
  int threads_;
};

template <class Number>
class DepthToSpaceKernel final : public WeightlessKernel {
 public:
  DepthToSpaceKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : factors_(workload.factors), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const int fh = factors_[0], fw = factors_[1];
    for_each_row<Number>(threads_, out, [&](const Rows& rows, const Rows::Index& i, Number* to) {
      const int first = i.block * rows.block;
      const int count = std::min(rows.block, out.shape.c() - first);
      for (int x = 0; x < fw; ++x) {
        for (int c = 0; c < count; ++c) {
          const int channel = ((first + c) * fh + i.row % fh) * fw + x;
          const Number* from = in.as<Number>() + in.offset(i.n, channel, i.row / fh, 0);
          for (int w = 0; w < in.shape.w(); ++w) {
            to[(w * fw + x) * out.column_stride() + c] = from[w * in.column_stride()];
          }
        }
      }
      clear_tail(out, i, rows, to);
    });
  }

 private:
  std::array<int, 2> factors_;
  int threads_;
};

/// Of the types that are given, or f32. Numbers of u8 and s8 are bytes like any other.
template <template <class> class KernelType>
std::unique_ptr<Primitive> make_of_type(PrimitiveInfo info, std::initializer_list<int> types,
                                        const char* description, int revision = 1) {
  if (types.size() == 0) return make<KernelType<float>>(std::move(info), description, revision);
  info.input_type = info.output_type = static_cast<DataType>(types.begin()[0]);
  return make<KernelType<std::uint8_t>>(std::move(info), description, revision);
}

}  // namespace

std::unique_ptr<Primitive> make_concat(PrimitiveInfo info, const Context&,
                                       std::initializer_list<int>) {
  return make<ConcatKernel>(std::move(info), "copies channel ranges, at any offset in a block", 2);
}

std::unique_ptr<Primitive> make_channels(PrimitiveInfo info, const Context&,
                                         std::initializer_list<int> types) {
  return make_of_type<ChannelKernel>(std::move(info), types, "takes channels from other channels",
                                     2);
}

std::unique_ptr<Primitive> make_pad(PrimitiveInfo info, const Context&,
                                    std::initializer_list<int>) {
  return make<PadKernel>(std::move(info), "copies the image into a frame of zeros");
}

std::unique_ptr<Primitive> make_depth_to_space(PrimitiveInfo info, const Context&,
                                               std::initializer_list<int> types) {
  return make_of_type<DepthToSpaceKernel>(std::move(info), types, "spreads channels over pixels");
}

}  // namespace convopt::pointwise
