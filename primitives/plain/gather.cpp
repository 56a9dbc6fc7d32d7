// Slices and single elements along an axis, by indices that a second source holds.
#include <algorithm>
#include <cstring>

#include "primitives/plain/indices.h"
#include "primitives/plain/loops.h"

namespace convopt::plain {
namespace {

/// Runs shorter than this are copied element by element.
constexpr std::int64_t kShortest = 16;

/// Walks the source, the indices and the result in step; the source stays where it is along the
/// axis.
class GatherKernel final : public WeightlessKernel {
 public:
  GatherKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : by_slices_(info.op == Op::gather),
        axis_(static_cast<std::size_t>(workload.axis)),
        size_(workload.first[workload.axis]),
        threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& in = args.sources[0];
    const TensorView& indices = args.sources[1];
    const TensorView& out = args.destination;
    Strides from{}, at{};
    if (by_slices_) {
      // The result's dimensions: those of the source, of the indices in place of the axis.
      const auto more = static_cast<std::size_t>(indices.shape.rank());
      std::copy_n(in.strides.begin(), axis_, from.begin());
      std::copy_n(indices.strides.begin(), more, at.begin() + axis_);
      std::copy_n(in.strides.begin() + axis_ + 1, out.shape.rank() - axis_ - more,
                  from.begin() + axis_ + more);
    } else {
      from = in.strides;
      from[axis_] = 0;
      at = indices.strides;
    }
    const std::int64_t step = in.strides[axis_];
    const Loops<3> loops(out.shape, {from, at, out.strides});
    const auto rows = loops.rows().strides, columns = loops.columns().strides;
    loops.run(threads_, [&](const Loops<3>::Block& block) {
      for (std::int64_t r = 0; r < block.rows; ++r) {
        const float* const x = in.as<float>() + block.offsets[0] + r * rows[0];
        const float* const index = indices.as<float>() + block.offsets[1] + r * rows[1];
        float* const y = out.as<float>() + block.offsets[2] + r * rows[2];
        if (columns[1] != 0) {
          for (std::int64_t c = 0; c < block.columns; ++c) {
            y[c * columns[2]] =
                x[c * columns[0] + element_number(index[c * columns[1]], size_) * step];
          }
          continue;
        }
        const float* const slice = x + element_number(*index, size_) * step;
        if (columns[0] == 1 && columns[2] == 1 && block.columns >= kShortest) {
          std::memcpy(y, slice, static_cast<std::size_t>(block.columns) * sizeof(float));
        } else {
          for (std::int64_t c = 0; c < block.columns; ++c) {
            y[c * columns[2]] = slice[c * columns[0]];
          }
        }
      }
    });
  }

 private:
  bool by_slices_;
  std::size_t axis_;
  int size_;  ///< along the axis
  int threads_;
};

}  // namespace

std::unique_ptr<Primitive> make_gather(PrimitiveInfo info, const Context&,
                                       std::initializer_list<int>) {
  return make<GatherKernel>(std::move(info), "copies runs or single elements that indices name");
}

}  // namespace convopt::plain
