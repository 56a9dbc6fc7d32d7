// Tensors of u8 and s8 that are added or become real, and real ones that are rounded to them: rows
// of pixels in chunks of floats that stay in the nearest cache.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "core/quantisation.h"
#include "primitives/own.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "primitives/int8/rows.cpp"
#include "primitives/simd.h"

#ifndef CONVOPT_INT8_ROWS_
#define CONVOPT_INT8_ROWS_
namespace convopt::int8 {

/// Numbers of a type that is known when the kernel is made.
struct Numbers {
  const void* data;
  DataType type;
  float scale;
  float zero_point = 0;
};

}  // namespace convopt::int8
#endif  // CONVOPT_INT8_ROWS_

HWY_BEFORE_NAMESPACE();
namespace convopt::int8::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

template <class Number>
HWY_INLINE V load(const Number* from) {
  const hn::Rebind<Number, D> narrow;
  const hn::Rebind<std::int32_t, D> wide;
  return hn::ConvertTo(D(), hn::PromoteTo(wide, hn::LoadU(narrow, from)));
}
HWY_INLINE V load(const float* from) { return hn::LoadU(D(), from); }

/// result[i] = scale * (from[i] - zero point), and that added to it where `kAdd`. Counts are whole
/// vectors.
template <bool kAdd, class Number>
void scaled(const Number* from, const Numbers& numbers, std::int64_t count, float* result) {
  const D d;
  const V factor = hn::Set(d, numbers.scale), zero = hn::Set(d, numbers.zero_point);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < count; i += lanes) {
    const V value = hn::Sub(load(from + i), zero);
    if constexpr (kAdd) {
      hn::StoreU(hn::MulAdd(value, factor, hn::LoadU(d, result + i)), d, result + i);
    } else {
      hn::StoreU(hn::Mul(value, factor), d, result + i);
    }
  }
}

template <bool kAdd>
void scaled(const Numbers& from, std::int64_t first, std::int64_t count, float* result) {
  switch (from.type) {
    case DataType::u8:
      return scaled<kAdd>(static_cast<const std::uint8_t*>(from.data) + first, from, count, result);
    case DataType::s8:
      return scaled<kAdd>(static_cast<const std::int8_t*>(from.data) + first, from, count, result);
    default:
      return scaled<kAdd>(static_cast<const float*>(from.data) + first, from, count, result);
  }
}

/// The numbers nearest to steps + zero point, halves to even, within the type's limits; the zero
/// point for NaN.
template <class Number>
void round_to(const float* steps, float zero_point, std::int64_t count, Number* result) {
  const D d;
  const hn::Rebind<Number, D> narrow;
  constexpr DataType kType = std::is_signed_v<Number> ? DataType::s8 : DataType::u8;
  const V low = hn::Set(d, smallest_number(kType)), high = hn::Set(d, largest_number(kType));
  const V zero = hn::Set(d, zero_point);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < count; i += lanes) {
    const V given = hn::LoadU(d, steps + i);
    const V value = hn::Add(hn::IfThenElseZero(hn::Eq(given, given), given), zero);
    const auto number = hn::NearestInt(hn::Min(high, hn::Max(low, value)));
    hn::StoreU(hn::DemoteTo(narrow, number), narrow, result + i);
  }
}

/// The numbers nearest to factor * from + zero point, as round_to() has them.
template <class Number>
void round_scaled(const float* from, float factor, float zero_point, std::int64_t count,
                  Number* result) {
  const D d;
  constexpr std::int64_t kTogether = 64;
  alignas(64) float steps[kTogether];
  const V scale = hn::Set(d, factor);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t first = 0; first < count; first += kTogether) {
    const std::int64_t length = std::min(kTogether, count - first);
    for (std::int64_t i = 0; i < length; i += lanes) {
      hn::Store(hn::Mul(hn::LoadU(d, from + first + i), scale), d, steps + i);
    }
    round_to(steps, zero_point, length, result + first);
  }
}

/// Bytes of two to four planes, `distance` apart, as pixels of so many bytes. The count is whole
/// vectors of sixteen.
void interleave(const std::byte* planes, std::int64_t distance, int channels, std::int64_t count,
                std::byte* result) {
  const hn::FixedTag<std::uint8_t, 16> d;
  const auto* const from = reinterpret_cast<const std::uint8_t*>(planes);
  auto* const to = reinterpret_cast<std::uint8_t*>(result);
  for (std::int64_t i = 0; i < count; i += 16) {
    const auto a = hn::LoadU(d, from + i), b = hn::LoadU(d, from + distance + i);
    if (channels == 2) {
      hn::StoreInterleaved2(a, b, d, to + 2 * i);
    } else if (channels == 3) {
      hn::StoreInterleaved3(a, b, hn::LoadU(d, from + 2 * distance + i), d, to + 3 * i);
    } else {
      hn::StoreInterleaved4(a, b, hn::LoadU(d, from + 2 * distance + i),
                            hn::LoadU(d, from + 3 * distance + i), d, to + 4 * i);
    }
  }
}

/// a + b as the nearest numbers, halves to even, within the type's limits. Nothing is stored in
/// between, zero points are one summand, and numbers are taken from the last bits of a sum with one
/// that leaves no place for fractions: half the time of what the functions above do one after the
/// other. There are no NaNs among whole numbers.
template <class A, class B, class Number>
void round_sum(const Numbers& a, const Numbers& b, std::int64_t first, std::int64_t count,
               float zero_point, Number* result) {
  const D d;
  const hn::RebindToUnsigned<D> bits;
  const hn::Rebind<std::uint8_t, D> narrow;
  constexpr DataType kType = std::is_signed_v<Number> ? DataType::s8 : DataType::u8;
  const V low = hn::Set(d, smallest_number(kType)), high = hn::Set(d, largest_number(kType));
  const V whole = hn::Set(d, 0x1.8p23F);
  const V factor_a = hn::Set(d, a.scale), factor_b = hn::Set(d, b.scale);
  const V summand =
      hn::Set(d, static_cast<float>(double{zero_point} - double{a.scale} * double{a.zero_point} -
                                    double{b.scale} * double{b.zero_point}));
  const A* const from_a = static_cast<const A*>(a.data) + first;
  const B* const from_b = static_cast<const B*>(b.data) + first;
  auto* const to = reinterpret_cast<std::uint8_t*>(result);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < count; i += lanes) {
    const V sum =
        hn::MulAdd(load(from_b + i), factor_b, hn::MulAdd(load(from_a + i), factor_a, summand));
    const V value = hn::Add(hn::Min(high, hn::Max(low, sum)), whole);
    hn::StoreU(hn::TruncateTo(narrow, hn::BitCast(bits, value)), narrow, to + i);
  }
}

template <class A, class B>
void round_sum(const Numbers& a, const Numbers& b, std::int64_t first, std::int64_t count,
               float zero_point, DataType type, void* result) {
  if (type == DataType::u8)
    return round_sum<A, B>(a, b, first, count, zero_point, static_cast<std::uint8_t*>(result));
  round_sum<A, B>(a, b, first, count, zero_point, static_cast<std::int8_t*>(result));
}

/// Of u8 and s8.
void rounded_sum(const Numbers& a, const Numbers& b, std::int64_t first, std::int64_t count,
                 float zero_point, DataType type, void* result) {
  using U8 = std::uint8_t;
  using S8 = std::int8_t;
  const bool u8 = b.type == DataType::u8;
  const auto function = a.type == DataType::u8 ? u8 ? round_sum<U8, U8> : round_sum<U8, S8>
                        : u8 ? round_sum<S8, U8>
                                               : round_sum<S8, S8>;
  function(a, b, first, count, zero_point, type, result);
}

void sum(const Numbers& a, const Numbers& b, std::int64_t first, std::int64_t count,
         float* result) {
  scaled<false>(a, first, count, result);
  scaled<true>(b, first, count, result);
}

void scale(const Numbers& a, std::int64_t first, std::int64_t count, float* result) {
  scaled<false>(a, first, count, result);
}

void store(const float* steps, float zero_point, std::int64_t count, DataType type, void* result) {
  if (type == DataType::u8)
    return round_to(steps, zero_point, count, static_cast<std::uint8_t*>(result));
  round_to(steps, zero_point, count, static_cast<std::int8_t*>(result));
}

void store_scaled(const float* from, float factor, float zero_point, std::int64_t count,
                  DataType type, void* result) {
  if (type == DataType::u8)
    return round_scaled(from, factor, zero_point, count, static_cast<std::uint8_t*>(result));
  round_scaled(from, factor, zero_point, count, static_cast<std::int8_t*>(result));
}

}  // namespace convopt::int8::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convopt::int8 {

CONVOPT_EXPORT(rounded_sum);
CONVOPT_EXPORT(sum);
CONVOPT_EXPORT(scale);
CONVOPT_EXPORT(store);
CONVOPT_EXPORT(store_scaled);
CONVOPT_EXPORT(interleave);

namespace {

/// Floats of a chunk, and room for what vectors read and write behind it.
constexpr std::int64_t kChunk = 1024, kLongestVector = 16;

/// Makes rows of pixels whole numbers, or real ones of these.
class RowKernel : public WeightlessKernel {
 public:
  RowKernel(const Workload& workload, const Parameters& parameters, const Context& context)
      : rounded_sum_(CONVOPT_DISPATCH(rounded_sum, context.isa)),
        sum_(CONVOPT_DISPATCH(sum, context.isa)),
        scale_(CONVOPT_DISPATCH(scale, context.isa)),
        store_(CONVOPT_DISPATCH(store, context.isa)),
        activate_(activate_function(context.isa)),
        activation_(activation_before_storing(workload)),
        scales_(parameters.scales),
        type_(workload.output_type),
        bytes_(static_cast<std::int64_t>(element_bytes(type_))),
        threads_(context.threads) {
    // Without an activation, sources are read as numbers of the result's steps.
    if (activation_.kind != ActivationKind::none) return;
    scales_.input /= scales_.output;
    scales_.residual /= scales_.output;
    scales_.output = 1;
  }

 protected:
  using Floats = std::array<float, kChunk + kLongestVector>;
  using Bytes = std::array<std::byte, kChunk + kLongestVector>;

  /// Those of the first source that begin at an element, or of the second one.
  Numbers first_numbers(const TensorView& view, std::int64_t offset) const {
    return {at(view, offset), view.type, scales_.input, static_cast<float>(scales_.input_zero)};
  }
  Numbers second_numbers(const TensorView& view, std::int64_t offset) const {
    return {at(view, offset), view.type, scales_.residual,
            static_cast<float>(scales_.residual_zero)};
  }
  static const std::byte* at(const TensorView& view, std::int64_t offset) {
    return view.as<const std::byte>() +
           offset * static_cast<std::int64_t>(element_bytes(view.type));
  }

  /// Applies the activation to values, and stores `count` of them as numbers of the result's type.
  void finish(Floats& values, std::int64_t count, std::byte* to) const {
    if (activation_.kind != ActivationKind::none) {
      activate_(activation_, values.data(), count);
      const Numbers real{values.data(), DataType::f32, 1 / scales_.output};
      scale_(real, 0, whole(count), values.data());
    }
    if (type_ == DataType::f32) {
      std::memcpy(to, values.data(), static_cast<std::size_t>(count) * sizeof(float));
      return;
    }
    const auto zero = static_cast<float>(scales_.output_zero);
    const std::int64_t full = count / kLongestVector * kLongestVector;
    store_(values.data(), zero, full, type_, to);
    if (full == count) return;
    Bytes rest;
    store_(values.data() + full, zero, kLongestVector, type_, rest.data());
    std::copy_n(rest.data(), count - full, to + full);
  }

  /// Up to a whole vector.
  static std::int64_t whole(std::int64_t count) {
    return ceil_div(count, kLongestVector) * kLongestVector;
  }

  /// The numbers with zeros up to a whole vector, in `room`.
  static Numbers filled_up(const Numbers& from, std::int64_t first, std::int64_t count,
                           std::span<std::byte> room) {
    const std::size_t size = element_bytes(from.type);
    const auto* const bytes = static_cast<const std::byte*>(from.data);
    std::ranges::fill(room, std::byte{0});
    std::copy_n(bytes + static_cast<std::size_t>(first) * size,
                static_cast<std::size_t>(count) * size, room.data());
    return {room.data(), from.type, from.scale, from.zero_point};
  }

  /// Calls `function(first, count)` for the chunks of a row.
  template <class Function>
  static void for_each_chunk(std::int64_t length, const Function& function) {
    for (std::int64_t first = 0; first < length; first += kChunk) {
      function(first, std::min(kChunk, length - first));
    }
  }

  using SumFunction = void (*)(const Numbers&, const Numbers&, std::int64_t, std::int64_t, float*);
  using ScaleFunction = void (*)(const Numbers&, std::int64_t, std::int64_t, float*);
  using StoreFunction = void (*)(const float*, float, std::int64_t, DataType, void*);
  using RoundedSumFunction = void (*)(const Numbers&, const Numbers&, std::int64_t, std::int64_t,
                                      float, DataType, void*);
  RoundedSumFunction rounded_sum_;
  SumFunction sum_;
  ScaleFunction scale_;
  StoreFunction store_;
  ActivateFunction activate_;
  Activation activation_;
  Quantisation scales_;
  DataType type_;
  std::int64_t bytes_;  ///< of an element of the result
  int threads_;
};

/// Rows of nhwc, whose pixels may have gaps between them.
class PixelKernel final : public RowKernel {
 public:
  using RowKernel::RowKernel;

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const std::int64_t channels = out.shape.c();
    bool gapless = out.column_stride() == channels;
    for (const TensorView& source : args.sources)
      gapless = gapless && source.column_stride() == channels;
    const int width = gapless ? 1 : out.shape.w();
    const std::int64_t length = gapless ? channels * out.shape.w() : channels;
    const std::int64_t rows = std::int64_t{out.shape.n()} * out.shape.h();
    parallel_for(threads_, rows, [&](std::int64_t row) {
      const int n = static_cast<int>(row / out.shape.h()),
                h = static_cast<int>(row % out.shape.h());
      for (int w = 0; w < width; ++w) {
        const Numbers a = first_numbers(args.sources[0], args.sources[0].offset(n, 0, h, w));
        auto* const to = out.as<std::byte>() + out.offset(n, 0, h, w) * bytes_;
        if (args.sources.size() == 1) {
          run_row(a, nullptr, length, to);
        } else {
          const Numbers b = second_numbers(args.sources[1], args.sources[1].offset(n, 0, h, w));
          run_row(a, &b, length, to);
        }
      }
    });
  }

 private:
  void run_row(const Numbers& a, const Numbers* b, std::int64_t length, std::byte* to) const {
    if (b != nullptr && activation_.kind == ActivationKind::none && length >= kLongestVector)
      return run_sum(a, *b, length, to);
    Floats values;
    for_each_chunk(length, [&](std::int64_t first, std::int64_t count) {
      const std::int64_t full = count / kLongestVector * kLongestVector;
      load(a, b, first, full, values.data());
      if (full < count) {
        std::array<std::byte, kLongestVector * sizeof(float)> room_a, room_b;
        const Numbers last = filled_up(a, first + full, count - full, room_a);
        Numbers other{};
        if (b != nullptr) other = filled_up(*b, first + full, count - full, room_b);
        load(last, b != nullptr ? &other : nullptr, 0, kLongestVector, values.data() + full);
      }
      finish(values, count, to + first * bytes_);
    });
  }

  /// The last vector may compute again what the one before it did.
  void run_sum(const Numbers& a, const Numbers& b, std::int64_t length, std::byte* to) const {
    const auto zero = static_cast<float>(scales_.output_zero);
    const std::int64_t full = length / kLongestVector * kLongestVector;
    rounded_sum_(a, b, 0, full, zero, type_, to);
    if (full == length) return;
    const std::int64_t last = length - kLongestVector;
    rounded_sum_(a, b, last, kLongestVector, zero, type_, to + last);
  }

  void load(const Numbers& a, const Numbers* b, std::int64_t first, std::int64_t count,
            float* values) const {
    if (b != nullptr) {
      sum_(a, *b, first, count, values);
    } else {
      scale_(a, first, count, values);
    }
  }
};

/// Rows of nchw, which become channels of nhwc.
class ChannelKernel final : public RowKernel {
 public:
  ChannelKernel(const Workload& workload, const Parameters& parameters, const Context& context)
      : RowKernel(workload, parameters, context),
        store_scaled_(CONVOPT_DISPATCH(store_scaled, context.isa)),
        interleave_(CONVOPT_DISPATCH(interleave, context.isa)) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const TensorView& in = args.sources[0];
    const std::int64_t rows = std::int64_t{out.shape.n()} * out.shape.h();
    parallel_for(threads_, rows, [&](std::int64_t row) {
      const int n = static_cast<int>(row / out.shape.h()),
                h = static_cast<int>(row % out.shape.h());
      for_each_chunk(out.shape.w(), [&](std::int64_t first, std::int64_t count) {
        for (int c = 0; c < out.shape.c(); c += kPlanes) {
          const int planes = std::min(kPlanes, out.shape.c() - c);
          Planes bytes;
          for (int i = 0; i < planes; ++i) {
            round_row(in.as<float>() + in.offset(n, c + i, h, 0) + first, count,
                      bytes[static_cast<std::size_t>(i)]);
          }
          auto* const to =
              out.as<std::byte>() + out.offset(n, 0, h, 0) + c + first * out.column_stride();
          store_pixels(bytes, planes, count, to, out.column_stride());
        }
      });
    });
  }

 private:
  static constexpr int kPlanes = 4;
  using Planes = std::array<Bytes, kPlanes>;

  void round_row(const float* from, std::int64_t count, Bytes& to) const {
    const std::int64_t full = count / kLongestVector * kLongestVector;
    if (activation_.kind == ActivationKind::none) {
      store_scaled_(from, scales_.input, static_cast<float>(scales_.output_zero), full, type_,
                    to.data());
      if (full < count) round_values(from + full, count - full, to.data() + full);
      return;
    }
    round_values(from, count, to.data());
  }

  void round_values(const float* from, std::int64_t count, std::byte* to) const {
    Floats values;
    std::copy_n(from, count, values.data());
    std::fill_n(values.data() + count, kLongestVector, 0.0F);
    scale_({values.data(), DataType::f32, scales_.input}, 0, whole(count), values.data());
    finish(values, count, to);
  }

  void store_pixels(const Planes& bytes, int planes, std::int64_t count, std::byte* to,
                    std::int64_t step) const {
    std::int64_t done = 0;
    if (planes > 1 && step == planes) {
      done = count / kLongestVector * kLongestVector;
      interleave_(bytes[0].data(), static_cast<std::int64_t>(sizeof(Bytes)), planes, done, to);
    }
    for (std::int64_t i = done; i < count; ++i) {
      for (int c = 0; c < planes; ++c) {
        const auto plane = static_cast<std::size_t>(c), pixel = static_cast<std::size_t>(i);
        to[i * step + c] = bytes[plane][pixel];
      }
    }
  }

  void (*store_scaled_)(const float*, float, float, std::int64_t, DataType, void*);
  void (*interleave_)(const std::byte*, std::int64_t, int, std::int64_t, std::byte*);
};

/// Pixels of nhwc, which become rows of nchw.
class PlaneKernel final : public RowKernel {
 public:
  using RowKernel::RowKernel;

  void run(const RunArgs& args) const noexcept override {
    const TensorView& out = args.destination;
    const std::int64_t rows = std::int64_t{out.shape.n()} * out.shape.h();
    parallel_for(threads_, rows, [&](std::int64_t row) {
      const int n = static_cast<int>(row / out.shape.h()),
                h = static_cast<int>(row % out.shape.h());
      for (int w = 0; w < out.shape.w(); w += kPixels) {
        const int pixels = std::min(kPixels, out.shape.w() - w);
        for (int c = 0; c < out.shape.c(); c += kChannels)
          run_block(args.sources[0], out, {n, c, h, w}, pixels);
      }
    });
  }

 private:
  /// A line of the caches of each of so many rows of the result.
  static constexpr int kPixels = 16, kChannels = 64;

  struct Place {
    int n, c, h, w;
  };

  void run_block(const TensorView& in, const TensorView& out, const Place& at, int pixels) const {
    const int channels = std::min(kChannels, out.shape.c() - at.c);
    std::array<std::array<float, kChannels>, kPixels> values;
    for (int w = 0; w < pixels; ++w) {
      std::array<std::byte, kChannels * sizeof(float)> room;
      const Numbers numbers = first_numbers(in, in.offset(at.n, at.c, at.h, at.w + w));
      const Numbers filled = filled_up(numbers, 0, channels, room);
      scale_(filled, 0, kChannels, values[static_cast<std::size_t>(w)].data());
    }
    for (int c = 0; c < channels; ++c) {
      auto* const to = out.as<float>() + out.offset(at.n, at.c + c, at.h, at.w);
      for (int w = 0; w < pixels; ++w)
        to[w] = values[static_cast<std::size_t>(w)][static_cast<std::size_t>(c)];
    }
  }
};

template <class KernelType>
class RowPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload& workload, const Context&) const override {
    if (workload.op == Op::add && workload.repeats())
      return Applicability::no("only tensors of equal shapes are added in int8");
    return Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload&, const Context&) const override { return 0; }
  std::size_t packed_bytes(const Workload&, const Context&) const override { return 0; }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(std::make_unique<KernelType>(workload, parameters, context));
  }
};

}  // namespace

std::unique_ptr<Primitive> make_int8(PrimitiveInfo info, const Context&,
                                     std::initializer_list<int> types) {
  info.input_type = static_cast<DataType>(types.begin()[0]);
  info.output_type = static_cast<DataType>(types.begin()[1]);
  info.description = "rows of pixels to or from whole numbers, activation included";
  const bool from_planes = info.input_layout == Layout::nchw;
  info.revision = info.op == Op::add ? "3" : from_planes ? "2" : "1";
  info.traits.algorithm = Algorithm::copy;
  info.traits.cost = "pointwise";
  info.traits.strided_views = true;
  info.traits.zero_points = true;
  if (info.input_layout == info.output_layout)
    return std::make_unique<RowPrimitive<PixelKernel>>(std::move(info));
  if (info.input_layout == Layout::nchw)
    return std::make_unique<RowPrimitive<ChannelKernel>>(std::move(info));
  return std::make_unique<RowPrimitive<PlaneKernel>>(std::move(info));
}

}  // namespace convopt::int8
#endif
