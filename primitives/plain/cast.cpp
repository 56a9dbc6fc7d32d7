// Numbers of another type, at the border of networks.
#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#include "core/conversion.h"
#include "primitives/own.h"

namespace convopt::plain {
namespace {

/// From or to f32, of dense tensors.
class CastKernel final : public WeightlessKernel {
 public:
  CastKernel(const PrimitiveInfo&, const Workload&, const Context& context)
      : threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const std::int64_t count = out.shape.elements();
    // A part of so many elements is worth a thread.
    constexpr std::int64_t kPart = 16384;
    parallel_for(threads_, ceil_div(count, kPart), [&](std::int64_t part) {
      const std::int64_t first = part * kPart, length = std::min(kPart, count - first);
      const auto* const from =
          in.as<const std::byte>() + first * static_cast<std::int64_t>(element_bytes(in.type));
      auto* const to =
          out.as<std::byte>() + first * static_cast<std::int64_t>(element_bytes(out.type));
      if (out.type == DataType::f32) {
        to_floats(from, in.type, length, reinterpret_cast<float*>(to));
      } else {
        from_floats(reinterpret_cast<const float*>(from), length, out.type, to);
      }
    });
  }

 private:
  int threads_;
};

}  // namespace

std::unique_ptr<Primitive> make_cast(PrimitiveInfo info, const Context&,
                                     std::initializer_list<int> types) {
  info.input_type = static_cast<DataType>(types.begin()[0]);
  info.output_type = static_cast<DataType>(types.begin()[1]);
  info.description = "numbers of another type";
  info.revision = "2";
  info.traits.algorithm = Algorithm::copy;
  return std::make_unique<WeightlessPrimitive<CastKernel>>(std::move(info));
}

}  // namespace convopt::plain
