// Builds a Network operator by operator: the one place where shapes are inferred and checked,
// whatever file format an operator comes from.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/network.hpp"

namespace convopt {

struct Pair {
  int h = 1, w = 1;
  bool operator==(const Pair&) const = default;
};

struct Padding {
  enum class Mode : std::uint8_t {
    given,       ///< the four numbers
    same_upper,  ///< output = ceil(input / stride); an odd row or column goes to the bottom or
                 ///< right
    same_lower,  ///< the same with the odd one at the top or left
  };
  Mode mode = Mode::given;
  int top = 0, bottom = 0, left = 0, right = 0;
  bool operator==(const Padding&) const = default;
};

struct ConvAttributes {
  int oc = 0;
  Pair kernel, stride, dilation;
  Padding padding;
  int groups = 1;
};

enum class PoolKind : std::uint8_t { max, average };

struct PoolAttributes {
  Pair kernel, stride;
  Padding padding;
  bool ceil_mode = false;          ///< a last, partial window counts
  bool count_include_pad = false;  ///< average: the divisor counts padding
};

struct LrnAttributes {
  int size = 5;
  float alpha = 1e-4F, beta = 0.75F, k = 1.0F;
};

/// What an operator is called, and what its file calls the operation.
struct Label {
  std::string name;
  std::string type;
};

/// Whether an operation of two tensors takes them in any order.
bool commutes(Op op);

/// What `build` says about operators that reach no output.
enum class DeadOperators : std::uint8_t { warn, expected };

/// Operators are added in an order in which they can be executed, each naming the tensors that it
/// reads. Every `add_` infers the shape of the result, checks it, and answers with the new tensor,
/// called like the operator, or with an error that names the operator; after an error the builder
/// is of no further use. Operators that compute nothing answer with their input.
class GraphBuilder {
 public:
  GraphBuilder(std::string name, std::string source);

  /// Any operation on inputs of the shapes that the workload says.
  Result<TensorId> add(Label label, std::span<const TensorId> inputs, const Workload& workload,
                       std::shared_ptr<const StoredWeights> weights = nullptr);
  /// A tensor whose elements are known, in row-major order; none where the file does not say them.
  Result<TensorId> add_constant(Label label, const TensorShape& shape, FloatArray values = {});
  /// The same numbers in another type: rounded towards zero if that has whole numbers only, 1 for
  /// all that are not zero in truth values.
  Result<TensorId> add_cast(Label label, TensorId input, DataType type);

  Result<TensorId> add_input(const std::string& name, const TensorShape& shape,
                             DataType type = DataType::f32);

  /// Of operators with weights those may be given, if the file has them; their number must be
  /// right.
  using WeightsPointer = std::shared_ptr<const StoredWeights>;
  Result<TensorId> add_conv(Label label, TensorId input, const ConvAttributes& attributes,
                            WeightsPointer weights = nullptr);
  Result<TensorId> add_pool(Label label, PoolKind kind, TensorId input,
                            const PoolAttributes& attributes);
  Result<TensorId> add_global_pool(Label label, PoolKind kind, TensorId input);
  /// An input with height or width is flattened first, by a reshape called `NAME/flatten`.
  Result<TensorId> add_fully_connected(Label label, TensorId input, int oc,
                                       WeightsPointer weights = nullptr);
  Result<TensorId> add_activation(Label label, TensorId input, const Activation& activation);
  /// `op` is add, multiply, subtract or divide. Sizes of 1 of the right tensor are repeated; where
  /// it does not matter, those of the left one, too.
  Result<TensorId> add_binary(Label label, Op op, TensorId left, TensorId right);
  /// x * scale + shift with a scale and a shift per channel: a convolution with one weight per
  /// channel, which `build` makes part of the operator with weights before it if it can.
  Result<TensorId> add_scale_shift(Label label, TensorId input, StoredWeights weights);
  /// Whether such a convolution of that tensor can become part of the operator that makes it.
  bool takes_factors(TensorId tensor) const;
  /// Along the channels.
  Result<TensorId> add_concat(Label label, std::span<const TensorId> inputs);
  Result<TensorId> add_softmax(Label label, TensorId input);
  /// Over the channels.
  Result<TensorId> add_layer_norm(Label label, TensorId input, float epsilon,
                                  WeightsPointer weights = nullptr);
  /// Channels first, first + step, ...; all of them answer with the input.
  Result<TensorId> add_slice(Label label, TensorId input, int first, int count, int step);
  Result<TensorId> add_shuffle(Label label, TensorId input, int groups);
  Result<TensorId> add_pad(Label label, TensorId input, const Padding& padding);
  Result<TensorId> add_depth_to_space(Label label, TensorId input, const Pair& factor);
  /// Dimension i of the result is dimension order[i] of the input.
  Result<TensorId> add_transpose(Label label, TensorId input, std::vector<int> order);
  Result<TensorId> add_lrn(Label label, TensorId input, const LrnAttributes& attributes);
  /// `op` is one of the upsampling operations.
  Result<TensorId> add_upsample(Label label, Op op, TensorId input, const Pair& factor);
  /// A reshape that changes nothing answers with its input.
  Result<TensorId> add_reshape(Label label, TensorId input, const TensorShape& shape);
  /// Becomes part of the convolution or fully connected layer that computes its input. `build`
  /// fails if there is none, or if its result is needed without the normalisation, too.
  Result<TensorId> add_batch_norm(Label label, TensorId input);
  /// Kept with a warning; convopt does not know what it does.
  Result<TensorId> add_opaque(Label label, std::span<const TensorId> inputs,
                              const TensorShape& shape);

  const TensorShape& shape(TensorId tensor) const { return network_.tensors[tensor].shape; }
  DataType type(TensorId tensor) const { return network_.tensors[tensor].type; }
  bool has_name(const std::string& name) const { return names_.contains(name); }
  bool is_input(TensorId tensor) const {
    return std::ranges::find(network_.inputs, tensor) != network_.inputs.end();
  }
  /// Says in `explain` that an operator of the file became part of the one that made the tensor.
  void note_folded(TensorId tensor, std::string name);
  /// The file's names for the outputs, in their order, where they are not those of operators.
  void name_outputs(std::vector<std::string> names) { network_.output_names = std::move(names); }
  void note_clean_up(std::string sentence) { network_.clean_up.push_back(std::move(sentence)); }
  void warn(std::string sentence) { network_.warnings.push_back(std::move(sentence)); }

  /// Leaves out what reaches no output, folds batch normalisations, and hands over the network.
  Result<Network> build(std::span<const TensorId> outputs,
                        DeadOperators dead = DeadOperators::warn) &&;

 private:
  Result<void> check_image(const Label& label, TensorId input) const;
  Result<TensorId> add_tensor(std::string_view owner, const std::string& name,
                              const TensorShape& shape, DataType type);
  Result<TensorId> add_operator(OperatorKind kind, Label label, std::span<const TensorId> inputs,
                                Workload workload, const TensorShape& shape, DataType type);
  Result<TensorId> add_compute(Label label, std::span<const TensorId> inputs, Workload workload,
                               WeightsPointer weights = nullptr);

  void merge_quantised(std::span<const TensorId> outputs);
  void drop_dead(std::span<const TensorId> outputs, DeadOperators dead);
  Result<void> fold_batch_norms(std::span<const TensorId> outputs);
  void fold_scale_shifts(std::span<const TensorId> outputs);
  std::vector<int> count_uses(std::span<const TensorId> outputs) const;
  void renumber_tensors();

  Network network_;
  std::unordered_set<std::string> names_;
  std::unordered_set<TensorId> batch_norms_;  ///< their results; they stand in network_ as reshapes
  std::unordered_set<TensorId> scale_shifts_;  ///< results of those convolutions
};

}  // namespace convopt
