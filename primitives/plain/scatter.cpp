// Slices and single elements along an axis, written where a second source says.
#include <cstddef>

#include "primitives/plain/indices.h"
#include "primitives/plain/loops.h"

namespace convopt::plain {
namespace {

/// Calls `loop(function)` with what becomes of the value that is there and the one that is written.
template <class Loop>
void with_result(Op op, const Loop& loop) {
  switch (op) {
    case Op::scatter_add:
      return loop([](float a, float b) { return a + b; });
    case Op::scatter_multiply:
      return loop([](float a, float b) { return a * b; });
    case Op::scatter_maximum:
      return loop([](float a, float b) { return a > b || a != a ? a : b; });
    case Op::scatter_minimum:
      return loop([](float a, float b) { return a < b || a != a ? a : b; });
    default:
      return loop([](float, float b) { return b; });
  }
}

/// Copies the first source, then walks the indices and what they place in step, the axis outermost
/// of what a thread does: writes to one element keep their order, whatever the number of threads.
class ScatterKernel final : public WeightlessKernel {
 public:
  ScatterKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : workload_(workload), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    copy(args.sources[0], args.destination);
    with_result(workload_.op, [&](auto combine) { scatter(args, combine); });
  }

 private:
  void copy(const TensorView& in, const TensorView& out) const {
    const Loops<2> loops(out.shape, {in.strides, out.strides});
    const auto rows = loops.rows().strides, columns = loops.columns().strides;
    loops.run(threads_, [&](const Loops<2>::Block& block) {
      for (std::int64_t r = 0; r < block.rows; ++r) {
        const float* const x = in.as<float>() + block.offsets[0] + r * rows[0];
        float* const y = out.as<float>() + block.offsets[1] + r * rows[1];
        for (std::int64_t c = 0; c < block.columns; ++c) y[c * columns[1]] = x[c * columns[0]];
      }
    });
  }

  template <class Function>
  void scatter(const RunArgs& args, Function combine) const {
    const TensorView& indices = args.sources[1];
    const TensorView& values = args.sources[2];
    const TensorView& out = args.destination;
    const auto axis = static_cast<std::size_t>(workload_.axis);
    const bool by_slices = indices.shape.rank() != out.shape.rank();
    const int count = values.shape[workload_.axis], size = out.shape[workload_.axis];
    const std::int64_t to_next_index = indices.strides[by_slices ? 0 : axis];
    const std::int64_t to_next_value = values.strides[axis], step = out.strides[axis];
    TensorShape beside = values.shape;
    beside[workload_.axis] = 1;
    const Loops<3> loops(beside,
                         {by_slices ? Strides{} : indices.strides, values.strides, out.strides});
    const auto rows = loops.rows().strides, columns = loops.columns().strides;
    loops.run(threads_, [&](const Loops<3>::Block& block) {
      for (int i = 0; i < count; ++i) {
        for (std::int64_t r = 0; r < block.rows; ++r) {
          const float* const index =
              indices.as<float>() + block.offsets[0] + i * to_next_index + r * rows[0];
          const float* const x =
              values.as<float>() + block.offsets[1] + i * to_next_value + r * rows[1];
          float* const y = out.as<float>() + block.offsets[2] + r * rows[2];
          if (columns[0] == 0) {
            float* const slice = y + element_number(*index, size) * step;
            for (std::int64_t c = 0; c < block.columns; ++c) {
              float& place = slice[c * columns[2]];
              place = combine(place, x[c * columns[1]]);
            }
            continue;
          }
          for (std::int64_t c = 0; c < block.columns; ++c) {
            float& place = y[c * columns[2] + element_number(index[c * columns[0]], size) * step];
            place = combine(place, x[c * columns[1]]);
          }
        }
      }
    });
  }

  Workload workload_;
  int threads_;
};

}  // namespace

std::unique_ptr<Primitive> make_scatter(PrimitiveInfo info, const Context&,
                                        std::initializer_list<int>) {
  return make<ScatterKernel>(std::move(info),
                             "copies, then writes runs or single elements where indices say");
}

}  // namespace convopt::plain
