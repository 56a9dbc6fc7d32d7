// Activations, operations of two tensors, choices between two.
#include <utility>

#include "primitives/plain/loops.h"
#include "primitives/pointwise/combine.h"

namespace convopt::plain {
namespace {

using pointwise::with_function;

/// Applies an activation to a block, whose columns lie `from_column` and `to_column` apart.
class Activate {
 public:
  Activate(const Workload& workload, const Context& context)
      : activation_(workload.epilogue.activation), activate_(activate_rows_function(context.isa)) {}

  void operator()(ActivatedRows rows, std::int64_t from_column, std::int64_t to_column) const {
    if (activation_.kind == ActivationKind::none && rows.from == rows.to) return;
    if (from_column == 1 && to_column == 1) return activate_(activation_, rows);
    for (std::int64_t r = 0; r < rows.count; ++r) {
      if (to_column ==
          1) {  // what lies apart is gathered first, so that it is activated by vectors
        for (std::int64_t c = 0; c < rows.width; ++c) rows.to[c] = rows.from[c * from_column];
        activate_(activation_, ActivatedRows::in_place(rows.to, rows.width, 1, rows.width));
      } else {
        activate_(activation_, {rows.from, rows.to, 1, rows.width, from_column, to_column});
      }
      rows.from += rows.from_step;
      rows.to += rows.to_step;
    }
  }

 private:
  Activation activation_;
  ActivateRowsFunction activate_;
};

class ActivationKernel final : public WeightlessKernel {
 public:
  ActivationKernel(const PrimitiveInfo&, const Workload& workload, const Context& context)
      : activate_(workload, context), threads_(context.threads) {}

  void run(const RunArgs& args) const noexcept override {
    const TensorView& in = args.sources[0];
    const TensorView& out = args.destination;
    const Loops<2> loops(out.shape, {in.strides, out.strides});
    const auto rows = loops.rows().strides, columns = loops.columns().strides;
    loops.run(threads_, [&](const Loops<2>::Block& block) {
      activate_({in.as<float>() + block.offsets[0], out.as<float>() + block.offsets[1],
                 block.columns, block.rows, rows[0], rows[1]},
                columns[0], columns[1]);
    });
  }

 private:
  Activate activate_;
  int threads_;
};

class BinaryKernel final : public WeightlessKernel {
 public:
  BinaryKernel(const PrimitiveInfo& info, const Workload& workload, const Context& context)
      : op_(info.op), activate_(workload, context), threads_(context.threads) {}

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
        activate_(ActivatedRows::in_place(to, block.columns, block.rows, rows[2]), columns[2],
                  columns[2]);
      });
    });
  }

 private:
  Op op_;
  Activate activate_;
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
                                           std::initializer_list<int>) {
  return make<ActivationKernel>(std::move(info), "activates block by block", {3});
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
