// Products of matrices, of which either may be the same for several of the other.
#include <omp.h>

#include <algorithm>
#include <array>

#include "primitives/blocking.h"
#include "primitives/gemm/product_kernel.h"
#include "primitives/plain/loops.h"

namespace convopt::plain {
namespace {

/// How a product is cut: `block_k` rows by `block_columns` of the second matrix are packed, and
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

  /// Packing takes as long as the product of a few rows, which read the second matrix as it lies.
  bool packs(std::int64_t rows) const {
    constexpr int kTiles = 2;
    return transposed || rows > kTiles * kernels.rows[kernels.vectors];
  }
  /// Of every thread.
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

class MatmulKernel final : public Kernel {
 public:
  MatmulKernel(const Workload& workload, const Context& context)
      : plan_(workload, context),
        threads_(context.threads),
        residual_(workload.epilogue.residual),
        activation_(workload.epilogue.activation),
        last_write_(last_write(activation_)),
        activate_(activate_function(context.isa)) {}

  void run(const RunArgs& args) const noexcept override {
    const Matrices matrices(args, residual_);
    const Parts parts(*this, matrices);
    const std::int64_t tasks = matrices.count() * parts.row_parts * parts.column_parts;
#pragma omp parallel num_threads(threads_) if (threads_ > 1 && tasks > 1)
    {
      float* const scratch =
          static_cast<float*>(args.workspace) +
          omp_get_thread_num() * static_cast<std::int64_t>(plan_.packed_floats());
#pragma omp for schedule(static) nowait
      for (std::int64_t number = 0; number < tasks; ++number) {
        Task task;
        task.column = number % parts.column_parts * parts.columns;
        task.columns = std::min<std::int64_t>(parts.columns, plan_.n - task.column);
        task.row = number / parts.column_parts % parts.row_parts * parts.rows;
        task.rows = std::min(parts.rows, matrices.rows() - task.row);
        task.matrix = number / parts.column_parts / parts.row_parts;
        compute(args, matrices, task, scratch);
      }
    }
  }
  std::size_t workspace_bytes() const override { return plan_.workspace_bytes(threads_); }
  std::size_t packed_bytes() const override { return 0; }

 private:
  struct Task {
    std::int64_t matrix, row, rows, column, columns;
  };

  /// Where there are too few matrices for the threads, each is cut into columns, which are packed
  /// once, or where these are few into rows.
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

  void compute(const RunArgs& args, const Matrices& matrices, const Task& task,
               float* scratch) const {
    const Matrices::Offsets offsets = matrices.offsets(task.matrix);
    const float* const a = args.sources[0].as<float>() + offsets[Matrices::kFirst];
    const float* const b = args.sources[1].as<float>() + offsets[Matrices::kSecond];
    float* const c = args.destination.as<float>() + offsets[Matrices::kResult];
    const float* const residual =
        residual_ ? args.residual.as<float>() + offsets[Matrices::kResidual] : nullptr;
    const auto last = static_cast<std::size_t>(args.sources[1].shape.rank() - 1);
    std::int64_t k_stride = args.sources[1].strides[last - 1];
    std::int64_t column_stride = args.sources[1].strides[last];
    if (plan_.transposed) std::swap(k_stride, column_stride);

    gemm::Product product;
    product.a_row_stride = matrices.row_stride(Matrices::kFirst);
    product.c_row_stride = matrices.row_stride(Matrices::kResult);
    product.residual_row_stride = matrices.row_stride(Matrices::kResidual);
    product.low = last_write_.low;
    product.high = last_write_.high;
    const bool packs = plan_.packs(matrices.rows());
    const int most_columns = packs ? plan_.block_columns : static_cast<int>(task.columns);
    for (std::int64_t column = task.column; column < task.column + task.columns;
         column += product.columns) {
      product.columns = static_cast<int>(
          std::min<std::int64_t>(most_columns, task.column + task.columns - column));
      for (int k = 0; k < plan_.k; k += product.k) {
        product.k = std::min(plan_.block_k, plan_.k - k);
        const float* const block = b + k * k_stride + column * column_stride;
        if (packs) {
          gemm::pack(plan_.kernels, product.k, product.columns, block, k_stride, column_stride,
                     scratch);
          product.b = scratch;
        } else {
          product.b = block;
          product.b_row_stride = k_stride;
          product.b_ends = true;
        }
        const bool is_last = k + product.k == plan_.k;
        product.accumulate = k > 0;
        product.clamp =
            is_last && !last_write_.needs_pass && activation_.kind != ActivationKind::none;
        for (std::int64_t row = task.row; row < task.row + task.rows; row += product.rows) {
          product.rows = static_cast<int>(
              std::min<std::int64_t>(plan_.block_rows, task.row + task.rows - row));
          product.a = a + row * product.a_row_stride + k;
          product.c = c + row * product.c_row_stride + column;
          product.residual = residual != nullptr && k == 0
                                 ? residual + row * product.residual_row_stride + column
                                 : nullptr;
          gemm::multiply(plan_.kernels, product);
          if (!is_last || !last_write_.needs_pass) continue;
          for (int r = 0; r < product.rows; ++r) {
            activate_(activation_, product.c + r * product.c_row_stride, product.columns);
          }
        }
      }
    }
  }

  MatmulPlan plan_;
  int threads_;
  bool residual_;
  Activation activation_;
  LastWrite last_write_;
  ActivateFunction activate_;
};

/// Rows of the sources and the result may lie anywhere, each without gaps.
class MatmulPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload& workload, const Context& context) const override {
    if (workspace_bytes(workload, context) > context.workspace_limit) {
      return Applicability::no("the workspace would exceed its limit");
    }
    return Applicability::yes();
  }
  std::size_t workspace_bytes(const Workload& workload, const Context& context) const override {
    return MatmulPlan(workload, context).workspace_bytes(context.threads);
  }
  std::size_t packed_bytes(const Workload&, const Context&) const override { return 0; }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload, const Parameters&,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(std::make_unique<MatmulKernel>(workload, context));
  }
};

}  // namespace

std::unique_ptr<Primitive> make_matmul(PrimitiveInfo info, const Context& context,
                                       std::initializer_list<int>) {
  info =
      gemm::product_info(std::move(info), context, Algorithm::gemm, gemm::OutputChannels::columns,
                         "1", "matrix products, blocks of the second source packed");
  info.traits.cost = "matmul";
  return std::make_unique<MatmulPrimitive>(std::move(info));
}

}  // namespace convopt::plain
