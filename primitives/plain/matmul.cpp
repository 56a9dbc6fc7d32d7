// Products of matrices, of which either may be the same for several of the other.
#include <algorithm>
#include <array>

#include "primitives/blocking.h"
#include "primitives/gemm/dots.h"
#include "primitives/gemm/product_kernel.h"
#include "primitives/plain/loops.h"
#include "primitives/workspace.h"

namespace convopt::plain {
namespace {

/// Blocks of a product: `block_k` rows by `block_columns` of the second matrix are packed, and
/// `block_rows` of the first at a time go through all of these.
struct MatmulPlan {
  const gemm::Kernels& kernels;
  int m, n, k;
  bool transposed;
  int block_k, block_columns, block_rows;
  std::int64_t most_rows;  ///< that can share a second matrix, where nothing lies between them

  MatmulPlan(const Workload& workload, const Context& context)
      : kernels(gemm::kernels(context.isa)),
        m(size_from_end(workload.first, 2)),
        n(size_from_end(workload.output(), 1)),
        k(size_from_end(workload.first, 1)),
        transposed(workload.transposed == 1),
        most_rows(m) {
    const int panel = kernels.panel_columns(), tile = kernels.rows[kernels.vectors];
    block_k = static_cast<int>(ceil_div(k, ceil_div(k, panel_rows(context.caches))));
    const std::int64_t row_bytes = block_k * std::int64_t{sizeof(float)};
    const auto fit = [&](std::int64_t bytes, int unit) {
      return static_cast<int>(std::max<std::int64_t>(1, bytes / row_bytes / unit) * unit);
    };
    block_columns = std::min(fit(copied_block_bytes(context.caches), panel), n);
    block_rows = fit(image_block_bytes(context.caches), tile);
    for (int d = workload.first.rank() - 3; d >= 0 && workload.second[d] == 1; --d) {
      most_rows *= workload.first[d];
    }
  }

  /// Packing takes as long as the product of a few rows, which read the second matrix as it lies;
  /// of more rows where dot products are so long that adding up their lanes does not show.
  bool packs(std::int64_t rows) const {
    constexpr int kLong = 256;
    const int tiles = transposed && k >= kLong ? 4 : 2;
    return rows > std::int64_t{tiles} * kernels.rows[kernels.vectors];
  }
  /// Floats of a packed block, which every thread has.
  std::size_t packed_floats() const {
    return packs(most_rows) ? static_cast<std::size_t>(round_up(
                                  gemm::packed_floats(kernels, block_k, block_columns), 16))
                            : 0;
  }
  std::size_t workspace_bytes(int threads) const {
    return static_cast<std::size_t>(threads) * packed_floats() * sizeof(float);
  }

  static int size_from_end(const TensorShape& shape, int number) {
    return shape[shape.rank() - number];
  }
};

/// The matrices of a run: their rows, and where each product's matrices begin.
class Matrices {
 public:
  enum Which { kFirst, kSecond, kResult, kResidual, kCount };
  using Offsets = std::array<std::int64_t, kCount>;

  Matrices(const RunArgs& args, bool has_residual) {
    const TensorView& result = args.destination;
    const std::array<Strides, kCount> strides = {
        repeated_strides(args.sources[0]), repeated_strides(args.sources[1]), result.strides,
        has_residual ? args.residual.strides : result.strides};
    const auto at = [&](int d) {
      Offsets steps{};
      for (std::size_t i = 0; i < kCount; ++i) steps[i] = strides[i][static_cast<std::size_t>(d)];
      return steps;
    };
    const int rank = result.shape.rank();
    rows_ = result.shape[rank - 2];
    row_strides_ = at(rank - 2);
    for (int d = rank - 3; d >= 0; --d) {
      const std::int64_t size = result.shape[d];
      if (size == 1) continue;
      if (rank_ == 0 && continues(at(d))) {
        if (rows_ == 1) row_strides_ = at(d);
        rows_ *= size;
      } else {
        sizes_[rank_] = size;
        steps_[rank_++] = at(d);
        count_ *= size;
      }
    }
  }

  std::int64_t rows() const { return rows_; }
  std::int64_t row_stride(Which which) const { return row_strides_[which]; }
  std::int64_t count() const { return count_; }
  Offsets offsets(std::int64_t number) const {
    Offsets offsets{};
    for (std::size_t d = 0; d < rank_; ++d) {
      for (std::size_t i = 0; i < kCount; ++i) offsets[i] += number % sizes_[d] * steps_[d][i];
      number /= sizes_[d];
    }
    return offsets;
  }

 private:
  /// Whether further matrices are further rows of the same product.
  bool continues(const Offsets& steps) const {
    if (steps[kSecond] != 0) return false;
    if (rows_ == 1) return true;
    for (const Which which : {kFirst, kResult, kResidual}) {
      if (steps[which] != rows_ * row_strides_[which]) return false;
    }
    return true;
  }

  std::int64_t rows_;
  Offsets row_strides_;
  std::int64_t count_ = 1;
  std::size_t rank_ = 0;
  std::array<std::int64_t, kMaxRank> sizes_;
  std::array<Offsets, kMaxRank> steps_;
};

/// Rows of the sources and the result may lie anywhere, each without gaps.
class MatmulKernel final : public Kernel {
 public:
  MatmulKernel(const Workload& workload, const Context& context)
      : plan_(workload, context),
        multiply_rows_(gemm::dots_function(context.isa)),
        threads_(context.threads),
        residual_(workload.epilogue.residual),
        activation_(workload.epilogue.activation),
        last_write_(last_write(activation_)),
        activate_(activate_function(context.isa)) {}

  void run(const RunArgs& args) const noexcept override {
    const Matrices matrices(args, residual_);
    const Parts parts(*this, matrices);
    const std::int64_t tasks = matrices.count() * parts.row_parts * parts.column_parts;
    parallel_tasks(threads_, tasks, [&](std::int64_t number, int thread) {
      Task task;
      task.column = number % parts.column_parts * parts.columns;
      task.columns = std::min<std::int64_t>(parts.columns, plan_.n - task.column);
      task.row = number / parts.column_parts % parts.row_parts * parts.rows;
      task.rows = std::min(parts.rows, matrices.rows() - task.row);
      task.matrix = number / parts.column_parts / parts.row_parts;
      compute(args, matrices, task,
              static_cast<float*>(args.workspace) +
                  thread * static_cast<std::int64_t>(plan_.packed_floats()));
    });
  }
  std::size_t workspace_bytes() const override { return plan_.workspace_bytes(threads_); }
  std::size_t packed_bytes() const override { return 0; }

  static std::size_t workspace_bytes(const Workload& workload, const Context& context) {
    return MatmulPlan(workload, context).workspace_bytes(context.threads);
  }

 private:
  struct Task {
    std::int64_t matrix, row, rows, column, columns;
  };

  /// Parts of every matrix where there are too few for the threads: columns, which are packed once,
  /// or where these are few, rows.
  struct Parts {
    Parts(const MatmulKernel& kernel, const Matrices& matrices)
        : rows(matrices.rows()), columns(kernel.plan_.n) {
      const gemm::Kernels& kernels = kernel.plan_.kernels;
      const std::int64_t threads = kernel.threads_, count = matrices.count();
      constexpr std::int64_t kEnough = 4;  // matrices per thread that even out
      if (count % threads == 0 || count >= kEnough * threads) return;
      const std::int64_t panel = kernels.panel_columns(), tile = kernels.rows[kernels.vectors];
      if (columns >= threads * panel || rows < threads * tile) {
        columns = round_up(ceil_div(columns, threads), panel);
      } else {
        rows = round_up(ceil_div(rows, threads), tile);
      }
      row_parts = ceil_div(matrices.rows(), rows);
      column_parts = ceil_div(kernel.plan_.n, columns);
    }
    std::int64_t rows, columns;
    std::int64_t row_parts = 1, column_parts = 1;
  };

  /// The operands of a task, from its first row and column on.
  struct Operands {
    const float *a, *b;
    float* c;
    const float* residual;                    ///< null: none
    std::int64_t a_row, c_row, residual_row;  ///< strides
    std::int64_t b_k, b_column;

    Operands(const RunArgs& args, const Matrices& matrices, const Task& task, bool transposed,
             bool has_residual) {
      const Matrices::Offsets offsets = matrices.offsets(task.matrix);
      const TensorView& second = args.sources[1];
      const auto last = static_cast<std::size_t>(second.shape.rank() - 1);
      a_row = matrices.row_stride(Matrices::kFirst);
      c_row = matrices.row_stride(Matrices::kResult);
      residual_row = matrices.row_stride(Matrices::kResidual);
      b_k = second.strides[last - 1];
      b_column = second.strides[last];
      if (transposed) std::swap(b_k, b_column);
      a = args.sources[0].as<float>() + offsets[Matrices::kFirst] + task.row * a_row;
      b = second.as<float>() + offsets[Matrices::kSecond] + task.column * b_column;
      c = args.destination.as<float>() + offsets[Matrices::kResult] + task.row * c_row +
          task.column;
      residual = has_residual ? args.residual.as<float>() + offsets[Matrices::kResidual] +
                                    task.row * residual_row + task.column
                              : nullptr;
    }
  };

  void compute(const RunArgs& args, const Matrices& matrices, const Task& task,
               float* scratch) const {
    const Operands operands(args, matrices, task, plan_.transposed, residual_);
    if (plan_.packs(matrices.rows())) {
      compute_packed(operands, task, scratch);
    } else if (plan_.transposed) {
      compute_dots(operands, task);
    } else {
      compute_block(operands, task, 0, static_cast<int>(task.columns), nullptr);
    }
  }

  void compute_packed(const Operands& operands, const Task& task, float* scratch) const {
    for (std::int64_t column = 0; column < task.columns; column += plan_.block_columns) {
      const auto columns =
          static_cast<int>(std::min<std::int64_t>(plan_.block_columns, task.columns - column));
      compute_block(operands, task, column, columns, scratch);
    }
  }

  /// All rows of a task by some columns. The second matrix is packed to `scratch`, or where that is
  /// null read as it lies.
  void compute_block(const Operands& operands, const Task& task, std::int64_t column, int columns,
                     float* scratch) const {
    gemm::Product product;
    product.columns = columns;
    product.a_row_stride = operands.a_row;
    product.c_row_stride = operands.c_row;
    product.residual_row_stride = operands.residual_row;
    product.low = last_write_.low;
    product.high = last_write_.high;
    for (int k = 0; k < plan_.k; k += product.k) {
      product.k = std::min(plan_.block_k, plan_.k - k);
      const float* const b = operands.b + k * operands.b_k + column * operands.b_column;
      if (scratch != nullptr) {
        gemm::pack(plan_.kernels, product.k, columns, b, operands.b_k, operands.b_column, scratch);
        product.b = scratch;
      } else {
        product.b = b;
        product.b_row_stride = operands.b_k;
        product.b_ends = true;
      }
      const bool is_last = k + product.k == plan_.k;
      product.accumulate = k > 0;
      product.clamp = is_last && last_write_.clamps();
      for (std::int64_t row = 0; row < task.rows; row += product.rows) {
        product.rows = static_cast<int>(std::min<std::int64_t>(plan_.block_rows, task.rows - row));
        product.a = operands.a + row * operands.a_row + k;
        product.c = operands.c + row * operands.c_row + column;
        product.residual = operands.residual != nullptr && k == 0
                               ? operands.residual + row * operands.residual_row + column
                               : nullptr;
        gemm::multiply(plan_.kernels, product);
        if (is_last) activate(product.c, operands.c_row, product.rows, columns);
      }
    }
  }

  /// Few rows by a matrix that lies transposed.
  void compute_dots(const Operands& operands, const Task& task) const {
    gemm::Dots dots;
    dots.rows = static_cast<int>(task.rows);
    dots.columns = static_cast<int>(task.columns);
    dots.k = plan_.k;
    dots.a = operands.a;
    dots.a_row_stride = operands.a_row;
    dots.b = operands.b;
    dots.b_row_stride = operands.b_column;
    dots.c = operands.c;
    dots.c_row_stride = operands.c_row;
    dots.residual = operands.residual;
    dots.residual_row_stride = operands.residual_row;
    dots.low = last_write_.low;
    dots.high = last_write_.high;
    multiply_rows_(dots);
    activate(dots.c, dots.c_row_stride, dots.rows, dots.columns);
  }

  void activate(float* c, std::int64_t row_stride, int rows, int columns) const {
    if (!last_write_.needs_pass) return;
    for (int r = 0; r < rows; ++r) activate_(activation_, c + r * row_stride, columns);
  }

  MatmulPlan plan_;
  gemm::DotsFunction multiply_rows_;
  int threads_;
  bool residual_;
  Activation activation_;
  LastWrite last_write_;
  ActivateFunction activate_;
};

}  // namespace

std::unique_ptr<Primitive> make_matmul(PrimitiveInfo info, const Context& context,
                                       std::initializer_list<int>) {
  info =
      gemm::product_info(std::move(info), context, Algorithm::gemm, gemm::OutputChannels::columns,
                         "2", "matrix products, blocks of the second source packed");
  info.traits.cost = "matmul";
  return std::make_unique<WorkspacePrimitive<MatmulKernel>>(std::move(info));
}

}  // namespace convopt::plain
