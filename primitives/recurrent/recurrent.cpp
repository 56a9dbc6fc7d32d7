// LSTM and GRU: for a block of steps one product of the inputs' weights, then step by step one of
// the state's, to which the gates' functions are applied while it is in L1.
#include <algorithm>
#include <utility>

#include "primitives/blocking.h"
#include "primitives/gemm/product_kernel.h"
#include "primitives/recurrent/cells.h"
#include "primitives/workspace.h"

namespace convopt::recurrent {
namespace {

/// Sizes that follow from workload and context, and where the parts of a direction's weights lie.
struct Plan {
  const gemm::Kernels& kernels;
  bool is_lstm;
  int steps, batch, inputs, hidden, directions, gates;
  int first_gates;  ///< gates whose sums one product makes: all four of lstm, the first two of gru
  std::int64_t input_floats, first_floats, second_floats;  ///< packed, of one direction
  std::int64_t gate_bias_floats, state_bias_floats;        ///< of one direction, in whole vectors
  int batch_parts;  ///< parts of the batch that threads share
  int part_rows;    ///< rows of the largest part
  int block_steps;  ///< steps whose gates wait in L2

  Plan(const Workload& workload, const Context& context)
      : kernels(gemm::kernels(context.isa)),
        is_lstm(workload.op == Op::lstm),
        steps(workload.first[0]),
        batch(workload.first[1]),
        inputs(workload.first[2]),
        hidden(workload.second[2]),
        directions(workload.second[0]),
        gates(is_lstm ? 4 : 3),
        first_gates(is_lstm ? 4 : 2),
        input_floats(gemm::packed_floats(kernels, inputs, gates * hidden)),
        first_floats(gemm::packed_floats(kernels, hidden, first_gates * hidden)),
        second_floats(is_lstm ? 0 : gemm::packed_floats(kernels, hidden, hidden)),
        gate_bias_floats(round_up(gates * hidden, kernels.lanes)),
        state_bias_floats(is_lstm ? 0 : round_up(hidden, kernels.lanes)),
        batch_parts(std::min<int>(batch, static_cast<int>(ceil_div(context.threads, directions)))),
        part_rows(static_cast<int>(ceil_div(batch, batch_parts))) {
    const std::int64_t step_bytes =
        std::int64_t{part_rows} * gates * hidden * std::int64_t{sizeof(float)};
    const std::int64_t fit = image_block_bytes(context.caches) / step_bytes;
    // A register tile's rows at least, so that a product of few images reads its weights less
    // often.
    const std::int64_t least = ceil_div(kernels.rows[kernels.vectors], part_rows);
    block_steps = static_cast<int>(std::min<std::int64_t>(std::max(fit, least), steps));
  }

  // Where a direction's packed weights and biases begin.
  std::int64_t input_weights(int direction) const {
    return direction * (input_floats + first_floats + second_floats);
  }
  std::int64_t first_weights(int direction) const {
    return input_weights(direction) + input_floats;
  }
  std::int64_t second_weights(int direction) const {
    return first_weights(direction) + first_floats;
  }
  std::int64_t gate_bias(int direction) const {
    return direction * (gate_bias_floats + state_bias_floats);
  }
  std::int64_t state_bias(int direction) const { return gate_bias(direction) + gate_bias_floats; }
  std::int64_t weight_floats() const { return input_weights(directions); }
  std::int64_t bias_floats() const { return gate_bias(directions); }
  /// Gates of a block of steps, then the cells or what gru makes of a state.
  std::int64_t block_floats() const {
    return round_up(std::int64_t{block_steps} * part_rows * gates * hidden, 16);
  }
  std::int64_t task_floats() const {
    return block_floats() + round_up(std::int64_t{part_rows} * hidden, 16);
  }
  int tasks() const { return directions * batch_parts; }
  std::size_t workspace_bytes() const {
    return static_cast<std::size_t>(tasks() * task_floats()) * sizeof(float);
  }
};

class RecurrentKernel final : public Kernel {
 public:
  RecurrentKernel(const Workload& workload, const Parameters& parameters, const Context& context)
      : plan_(workload, context),
        reversed_(workload.reversed == 1),
        keeps_cell_(workload.keeps_cell == 1),
        reset_after_(workload.reset_after),
        threads_(context.threads),
        functions_(step_functions(context.isa)),
        weights_(static_cast<std::size_t>(plan_.weight_floats())),
        bias_(static_cast<std::size_t>(plan_.bias_floats())) {
    for (int d = 0; d < plan_.directions; ++d) {
      pack(parameters.weights.as<float>(), d);
      add_biases(parameters.bias.as<float>(), d);
    }
  }

  std::size_t workspace_bytes() const override { return plan_.workspace_bytes(); }
  std::size_t packed_bytes() const override { return weights_.bytes() + bias_.bytes(); }

  /// Directions and parts of the batch have nothing to do with each other. Where there is but one,
  /// the threads share the products of the inputs.
  void run(const RunArgs& args) const noexcept override {
    const int product_threads = plan_.tasks() == 1 ? threads_ : 1;
    parallel_for(threads_, plan_.tasks(), [&](std::int64_t number) {
      Task task;
      task.direction = static_cast<int>(number) / plan_.batch_parts;
      const auto part = number % plan_.batch_parts;
      task.row = static_cast<int>(part_begin(plan_.batch, part, plan_.batch_parts));
      task.rows = static_cast<int>(part_begin(plan_.batch, part + 1, plan_.batch_parts)) - task.row;
      task.gates = static_cast<float*>(args.workspace) + number * plan_.task_floats();
      task.cell = task.gates + plan_.block_floats();
      compute(args, task, product_threads);
    });
  }

 private:
  struct Task {
    int direction = 0, row = 0, rows = 0;  ///< of the batch
    float *gates = nullptr, *cell = nullptr;
  };

  void pack(const float* weights, int direction) {
    const std::int64_t columns = std::int64_t{plan_.gates} * plan_.hidden;
    const float* const input = weights + direction * columns * plan_.inputs;
    const float* const state =
        weights + plan_.directions * columns * plan_.inputs + direction * columns * plan_.hidden;
    const auto pack = [&](int k, int gates, const float* from, std::int64_t to) {
      // The matrix lies transposed.
      gemm::pack(plan_.kernels, k, gates * plan_.hidden, from, 1, k, weights_.data() + to);
    };
    pack(plan_.inputs, plan_.gates, input, plan_.input_weights(direction));
    pack(plan_.hidden, plan_.first_gates, state, plan_.first_weights(direction));
    if (plan_.is_lstm) return;
    const std::int64_t before = std::int64_t{plan_.first_gates} * plan_.hidden * plan_.hidden;
    pack(plan_.hidden, 1, state + before, plan_.second_weights(direction));
  }

  /// What is added beside the inputs' weights, but for what a reset gate multiplies.
  void add_biases(const float* bias, int direction) {
    const std::int64_t columns = std::int64_t{plan_.gates} * plan_.hidden;
    float* const gates = bias_.data() + plan_.gate_bias(direction);
    std::fill_n(gates, plan_.gate_bias_floats + plan_.state_bias_floats, 0.0F);
    if (bias == nullptr) return;
    const float* const beside_input = bias + direction * 2 * columns;
    const float* const beside_state = beside_input + columns;
    const std::int64_t shared =
        reset_after_ == 1 ? std::int64_t{plan_.first_gates} * plan_.hidden : columns;
    for (std::int64_t i = 0; i < columns; ++i) {
      gates[i] = beside_input[i] + (i < shared ? beside_state[i] : 0.0F);
    }
    std::copy(beside_state + shared, beside_state + columns,
              bias_.data() + plan_.state_bias(direction));
  }

  void compute(const RunArgs& args, const Task& task, int product_threads) const {
    const TensorView& result = args.destination;
    const bool backwards = task.direction == 1 || reversed_;
    Step step;
    step.rows = task.rows;
    step.hidden = plan_.hidden;
    step.gates_row = std::int64_t{plan_.gates} * plan_.hidden;
    step.after_row = result.strides[2];
    step.cell = task.cell;
    step.cell_row = plan_.hidden;
    const auto start = [&](const TensorView& states) {
      return states.as<const float>() + task.direction * states.strides[0] +
             task.row * states.strides[1];
    };
    step.before = start(args.sources[1]);
    step.before_row = args.sources[1].strides[1];
    const auto states_of = [&](int number) {
      return result.as<float>() + number * result.strides[0] + task.direction * result.strides[1] +
             task.row * result.strides[2];
    };
    if (plan_.is_lstm) {
      if (keeps_cell_) {
        step.cell = states_of(plan_.steps);
        step.cell_row = result.strides[2];
      }
      const float* const cells = start(args.sources[2]);
      for (int r = 0; r < task.rows; ++r) {
        std::copy_n(cells + r * args.sources[2].strides[1], plan_.hidden,
                    step.cell + r * step.cell_row);
      }
    }
    for (int done = 0; done < plan_.steps; done += plan_.block_steps) {
      const int count = std::min(plan_.block_steps, plan_.steps - done);
      const int first = backwards ? plan_.steps - done - count : done;
      multiply_inputs(args.sources[0], task, first, count, product_threads);
      for (int i = 0; i < count; ++i) {
        const int in_block = backwards ? count - 1 - i : i;
        step.gates = task.gates + std::int64_t{in_block} * task.rows * step.gates_row;
        step.after = states_of(first + in_block);
        plan_.is_lstm ? step_lstm(step, task.direction) : step_gru(step, task.direction);
        step.before = step.after;
        step.before_row = step.after_row;
      }
    }
  }

  /// The gates of `count` steps from `first` on, as far as the inputs make them.
  void multiply_inputs(const TensorView& in, const Task& task, int first, int count,
                       int threads) const {
    gemm::Product product;
    product.columns = plan_.gates * plan_.hidden;
    product.k = plan_.inputs;
    product.b = weights_.data() + plan_.input_weights(task.direction);
    product.column_bias = bias_.data() + plan_.gate_bias(task.direction);
    product.c_row_stride = product.columns;
    const float* const from =
        in.as<const float>() + first * in.strides[0] + task.row * in.strides[1];
    // Steps of one image are rows without gaps between them, as are those of whole batches that
    // follow each other.
    const bool is_one_row = task.rows == 1;
    const bool joins = is_one_row || in.strides[0] == task.rows * in.strides[1];
    product.a_row_stride = is_one_row ? in.strides[0] : in.strides[1];
    const std::int64_t rows = joins ? std::int64_t{count} * task.rows : task.rows;
    const int products = joins ? 1 : count;
    const std::int64_t parts =
        std::min<std::int64_t>(threads, ceil_div(rows, plan_.kernels.rows[plan_.kernels.vectors]));
    for (int i = 0; i < products; ++i) {
      parallel_for(threads, parts, [&](std::int64_t part) {
        gemm::Product piece = product;
        const std::int64_t row = part_begin(rows, part, parts);
        piece.rows = static_cast<int>(part_begin(rows, part + 1, parts) - row);
        piece.a = from + i * in.strides[0] + row * product.a_row_stride;
        piece.c = task.gates + (i * rows + row) * product.c_row_stride;
        gemm::multiply(plan_.kernels, piece);
      });
    }
  }

  /// Adds to `columns` values from `c` on, or to a bias, what packed weights make of the state.
  void multiply_state(const Step& step, const float* state, std::int64_t state_row,
                      std::int64_t weights, int columns, float* c, std::int64_t c_row,
                      const float* bias) const {
    gemm::Product product;
    product.rows = step.rows;
    product.columns = columns;
    product.k = plan_.hidden;
    product.a = state;
    product.a_row_stride = state_row;
    product.b = weights_.data() + weights;
    product.c = c;
    product.c_row_stride = c_row;
    product.accumulate = bias == nullptr;
    product.column_bias = bias;
    gemm::multiply(plan_.kernels, product);
  }

  void step_lstm(const Step& step, int direction) const {
    multiply_state(step, step.before, step.before_row, plan_.first_weights(direction),
                   plan_.gates * plan_.hidden, step.gates, step.gates_row, nullptr);
    functions_.lstm(step);
  }

  void step_gru(const Step& step, int direction) const {
    multiply_state(step, step.before, step.before_row, plan_.first_weights(direction),
                   plan_.first_gates * plan_.hidden, step.gates, step.gates_row, nullptr);
    functions_.gru_gates[reset_after_](step);
    if (reset_after_ == 1) {
      multiply_state(step, step.before, step.before_row, plan_.second_weights(direction),
                     plan_.hidden, step.cell, step.cell_row,
                     bias_.data() + plan_.state_bias(direction));
    } else {
      multiply_state(step, step.cell, step.cell_row, plan_.second_weights(direction), plan_.hidden,
                     step.gates + std::int64_t{plan_.first_gates} * plan_.hidden, step.gates_row,
                     nullptr);
    }
    functions_.gru_state[reset_after_](step);
  }

  Plan plan_;
  bool reversed_, keeps_cell_;
  int reset_after_;
  int threads_;
  StepFunctions functions_;
  AlignedFloats weights_, bias_;
};

class RecurrentPrimitive final : public Primitive {
 public:
  using Primitive::Primitive;

  Applicability applicability(const Workload& workload, const Context& context) const override {
    return workspace_fits(workspace_bytes(workload, context), context);
  }
  std::size_t workspace_bytes(const Workload& workload, const Context& context) const override {
    return Plan(workload, context).workspace_bytes();
  }
  std::size_t packed_bytes(const Workload& workload, const Context& context) const override {
    const Plan plan(workload, context);
    return static_cast<std::size_t>(plan.weight_floats() + plan.bias_floats()) * sizeof(float);
  }
  Result<std::unique_ptr<Kernel>> make_kernel(const Workload& workload,
                                              const Parameters& parameters,
                                              const Context& context) const override {
    return std::unique_ptr<Kernel>(
        std::make_unique<RecurrentKernel>(workload, parameters, context));
  }
};

}  // namespace
}  // namespace convopt::recurrent

namespace convopt::plain {

std::unique_ptr<Primitive> make_recurrent(PrimitiveInfo info, const Context& context,
                                          std::initializer_list<int>) {
  info =
      gemm::product_info(std::move(info), context, Algorithm::gemm, gemm::OutputChannels::columns,
                         "1", "a product for the inputs of many steps, then one for each state");
  info.traits.cost = "recurrent";
  return std::make_unique<recurrent::RecurrentPrimitive>(std::move(info));
}

}  // namespace convopt::plain
