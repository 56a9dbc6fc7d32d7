// Activations, operations of two tensors, choices between two.
#include <algorithm>

#include "primitives/plain/loops.h"
#include "primitives/pointwise/combine.h"

namespace convopt::plain {
namespace {

using pointwise::with_function;

/// Applies an activation to blocks that were just written.
class Finish {
 public:
  Finish(const Workload& workload, const Context& context)
      : activation_(workload.epilogue.activation), activate_(activate_rows_function(context.isa)) {}

  void operator()(float* data, std::int64_t row_step, std::int64_t step, std::int64_t rows,
                  std::int64_t columns) const {
    if (activation_.kind == ActivationKind::none) return;
    if (step == 1) return activate_(activation_, data, columns, rows, row_step);
    for (std::int64_t r = 0; r < rows; ++r, data += row_step) {
      activate_(activation_, data, 1, columns, step);
    }
  }

 private:
  Activation activation_;
  ActivateRowsFunction activate_;
};

class ActivationKernel final : public WeightlessKernel {
 public:
  ActivationKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : finish_(workload, context), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const Loops<2> loops(out.shape, {in.strides, out.strides});
    const auto rows = loops.rows().strides, columns = loops.columns().strides;
    loops.run(threads_, [&](const Loops<2>::Block& block) {
      float* const to = out.as<float>() + block.offsets[1];
      for (std::int64_t r = 0; r < block.rows; ++r) {
        const float* const x = in.as<float>() + block.offsets[0] + r * rows[0];
        float* const y = to + r * rows[1];
        if (columns[0] == 1 && columns[1] == 1) {
          std::copy_n(x, block.columns, y);
        } else {
          for (std::int64_t c = 0; c < block.columns; ++c) y[c * columns[1]] = x[c * columns[0]];
        }
      }
      finish_(to, rows[1], columns[1], block.rows, block.columns);
    });
  }

 private:
  Finish finish_;
  int threads_;
};

class BinaryKernel final : public WeightlessKernel {
 public:
  BinaryKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : op_(info.op), finish_(workload, context), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& a = args.sources[0];
    const TensorView& b = args.sources[1];
    const TensorView& out = args.destination;
    const Loops<3> loops(out.shape, {a.strides, repeated_strides(b), out.strides});
    const auto rows = loops.rows().strides, columns = loops.columns().strides;
    const bool are_neighbours = columns[0] == 1 && columns[2] == 1;
    with_function(op_, [&](auto function) {
      loops.run(threads_, [&](const Loops<3>::Block& block) {
        float* const to = out.as<float>() + block.offsets[2];
        for (std::int64_t r = 0; r < block.rows; ++r) {
          const float* const x = a.as<float>() + block.offsets[0] + r * rows[0];
          const float* const y = b.as<float>() + block.offsets[1] + r * rows[1];
          float* const result = to + r * rows[2];
          if (are_neighbours && columns[1] == 1) {
            for (std::int64_t c = 0; c < block.columns; ++c) result[c] = function(x[c], y[c]);
          } else if (are_neighbours && columns[1] == 0) {
            const float value = *y;
            for (std::int64_t c = 0; c < block.columns; ++c) result[c] = function(x[c], value);
          } else {
            for (std::int64_t c = 0; c < block.columns; ++c) {
              result[c * columns[2]] = function(x[c * columns[0]], y[c * columns[1]]);
            }
          }
        }
        finish_(to, rows[2], columns[2], block.rows, block.columns);
      });
    });
  }

 private:
  Op op_;
  Finish finish_;
  int threads_;
};

class SelectKernel final : public WeightlessKernel {
 public:
  SelectKernel(const PrimitiveInfo&, const Workload&, const Context& context)
      : threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& condition = args.sources[0];
    const TensorView& a = args.sources[1];
    const TensorView& b = args.sources[2];
    const TensorView& out = args.destination;
    const Loops<4> loops(out.shape, {condition.strides, a.strides, b.strides, out.strides});
    const auto rows = loops.rows().strides, columns = loops.columns().strides;
    const bool are_neighbours = columns == Loops<4>::Offsets{1, 1, 1, 1};
    loops.run(threads_, [&](const Loops<4>::Block& block) {
      for (std::int64_t r = 0; r < block.rows; ++r) {
        const float* const chosen = condition.as<float>() + block.offsets[0] + r * rows[0];
        const float* const x = a.as<float>() + block.offsets[1] + r * rows[1];
        const float* const y = b.as<float>() + block.offsets[2] + r * rows[2];
        float* const result = out.as<float>() + block.offsets[3] + r * rows[3];
        if (are_neighbours) {
          for (std::int64_t c = 0; c < block.columns; ++c) {
            const float first = x[c], second = y[c];
            result[c] = chosen[c] != 0 ? first : second;
          }
        } else {
          for (std::int64_t c = 0; c < block.columns; ++c) {
            result[c * columns[3]] =
                chosen[c * columns[0]] != 0 ? x[c * columns[1]] : y[c * columns[2]];
          }
        }
      }
    });
  }

 private:
  int threads_;
};

}  // namespace

std::unique_ptr<Primitive> make_activation(PrimitiveInfo info, const Context&,
                                           std::initializer_list<int> variant) {
  return make<ActivationKernel>(std::move(info), "copies and activates block by block", variant);
}

std::unique_ptr<Primitive> make_binary(PrimitiveInfo info, const Context&,
                                       std::initializer_list<int> variant) {
  return make<BinaryKernel>(std::move(info), "element by element, activation included", variant);
}

std::unique_ptr<Primitive> make_select(PrimitiveInfo info, const Context&,
                                       std::initializer_list<int>) {
  return make<SelectKernel>(std::move(info), "element by element, one of two");
}

}  // namespace convopt::plain
