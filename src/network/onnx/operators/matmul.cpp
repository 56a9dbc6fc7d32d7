// Products of matrices: with a constant one, which is a fully connected layer, and of two tensors.
#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "core/try.h"
#include "src/network/onnx/operators/handlers.h"
#include "src/network/onnx/operators/parts.h"

namespace convopt::onnx_reader {
namespace {

Result<Value> linear(Import& model, const Node& node, const Value& x, WeightsPointer weights,
                     std::int64_t inputs, std::int64_t outputs) {
  if (x.dims.empty() || x.dims.back() != inputs || outputs < 1 || outputs > kMaxSize)
    return node.error("its weights do not fit its input " + dims_text(x.dims));
  Dims dims = x.dims;
  dims.back() = outputs;
  if (x.channels_last) {
    ConvAttributes attributes;
    attributes.oc = static_cast<int>(outputs);
    return made(model.graph().add_conv(model.label(node), x.tensor, attributes, std::move(weights)),
                std::move(dims), true);
  }
  const TensorShape rows = shape_around(x.dims, x.dims.size() - 1, x.dims.size());
  CONVOPT_TRY(const auto tensor, model.shaped(node.name(), x, {rows.n(), rows.c(), 1, 1}));
  return made(model.graph().add_fully_connected(model.label(node), tensor,
                                                static_cast<int>(outputs), std::move(weights)),
              std::move(dims));
}

/// alpha * A B + beta * C of any tensors.
Result<Value> general_gemm(Import& model, const Node& node) {
  std::array<Value, 2> factors;
  for (const int i : {0, 1}) {
    CONVOPT_TRY(const auto given, model.tensor_input(node, i));
    if (given->dims.size() != 2) return node.error("its factors must be matrices");
    factors[static_cast<std::size_t>(i)] = *given;
    if (node.integer(i == 0 ? "transA" : "transB", 0) == 0) continue;
    CONVOPT_TRY(factors[static_cast<std::size_t>(i)],
                transposed_value(model, node, *given, {1, 0}));
  }
  CONVOPT_TRY(auto result, product(model, node, factors[0], factors[1]));
  if (const float alpha = node.number("alpha", 1); alpha != 1) {
    CONVOPT_TRY(result, scale(model, node, result, alpha));
  }
  if (!node.has_input(2)) return result;
  CONVOPT_TRY(const auto given, model.tensor_input(node, 2));
  Value summand = *given;
  if (const float beta = node.number("beta", 1); beta != 1) {
    CONVOPT_TRY(summand, scale(model, node, summand, beta));
  }
  return binary(model, node, Op::add, result, summand);
}

Result<Value> gemm(Import& model, const Node& node) {
  CONVOPT_TRY(const auto x, model.input(node, 0));
  CONVOPT_TRY(const auto second, model.input(node, 1));
  const ConstantPointer matrix = second->constant;
  const bool has_bias = node.has_input(2);
  CONVOPT_TRY(const auto third, has_bias ? model.input(node, 2) : Import::Found(nullptr));
  const bool transposes = node.integer("transB", 0) == 0;
  const auto is_layer = [&] {
    if (!x->is_tensor() || matrix == nullptr || matrix->dims.size() != 2 || !matrix->is_float ||
        node.integer("transA", 0) != 0)
      return false;
    if (!has_bias) return true;
    if (third->constant == nullptr || !third->constant->is_float) return false;
    Dims row = third->constant->dims;
    if (row.size() == 2 && row[0] == 1) row.erase(row.begin());
    const Dims outputs = {matrix->dims[transposes ? 1 : 0]};
    return broadcast(outputs, row) == outputs;
  };
  if (!is_layer()) return general_gemm(model, node);
  const std::int64_t outputs = matrix->dims[transposes ? 1 : 0];
  StoredWeights weights;
  weights.weights = transposes ? transposed(*matrix, {1, 0}).floats : matrix->floats;
  if (const float alpha = node.number("alpha", 1); alpha != 1)
    for (float& weight : weights.weights.own()) weight *= alpha;
  if (has_bias) {
    Constant offsets = *third->constant;
    if (offsets.dims.size() == 2) offsets.dims.erase(offsets.dims.begin());
    weights.bias = expanded(offsets, {outputs}).floats;
    if (const float beta = node.number("beta", 1); beta != 1)
      for (float& offset : weights.bias.own()) offset *= beta;
  }
  return linear(model, node, *x, std::make_shared<const StoredWeights>(std::move(weights)),
                matrix->dims[transposes ? 0 : 1], outputs);
}

Result<Value> matmul(Import& model, const Node& node) {
  CONVOPT_TRY(const auto left, model.input(node, 0));
  CONVOPT_TRY(const auto right, model.input(node, 1));
  return product(model, node, *left, *right);
}

/// One side of an Einsum: a letter per dimension.
struct Term {
  Value value;
  std::string letters;
};

/// The term without the letters that `keep` lacks, which are added up, in the order of `keep`.
Result<Term> arranged(Import& model, const Node& node, const Term& term, const std::string& keep) {
  Value value = term.value;
  std::string letters = term.letters;
  std::vector<std::size_t> summed;
  for (std::size_t i = 0; i < letters.size(); ++i)
    if (keep.find(letters[i]) == std::string::npos) summed.push_back(i);
  if (!summed.empty()) {
    CONVOPT_TRY(value, reduced(model, node, Op::reduce_sum, value, summed, false));
    std::erase_if(letters, [&](char c) { return keep.find(c) == std::string::npos; });
  }
  std::vector<int> order;
  std::string arranged_letters;
  for (const char letter : keep) {
    if (const auto at = letters.find(letter); at != std::string::npos) {
      order.push_back(static_cast<int>(at));
      arranged_letters += letter;
    }
  }
  CONVOPT_TRY(value, transposed_value(model, node, value, order));
  return Term{std::move(value), std::move(arranged_letters)};
}

/// The sum over all letters of both that neither the result nor a later term has: as a product of
/// matrices, batched over the letters that both and the result have.
Result<Term> contracted(Import& model, const Node& node, const Term& left, const Term& right,
                        const std::string& needed) {
  std::string batch, inner, rows, columns;
  const auto has = [](const std::string& letters, char c) {
    return letters.find(c) != std::string::npos;
  };
  for (const char c : left.letters) {
    if (!has(right.letters, c)) {
      if (has(needed, c)) rows += c;
    } else {
      (has(needed, c) ? batch : inner) += c;
    }
  }
  for (const char c : right.letters)
    if (!has(left.letters, c) && has(needed, c)) columns += c;
  CONVOPT_TRY(const auto a, arranged(model, node, left, batch + rows + inner));
  CONVOPT_TRY(const auto b, arranged(model, node, right, batch + inner + columns));
  const auto count = [](const Term& term, const std::string& letters) {
    std::int64_t product = 1;
    for (const char c : letters) product *= term.value.sizes()[term.letters.find(c)];
    return product;
  };
  Dims dims;
  for (const char c : batch + rows) dims.push_back(a.value.sizes()[a.letters.find(c)]);
  for (const char c : columns) dims.push_back(b.value.sizes()[b.letters.find(c)]);
  CONVOPT_TRY(const auto first, reshaped_value(model, node, a.value,
                                               {count(a, batch), count(a, rows), count(a, inner)}));
  CONVOPT_TRY(
      const auto second,
      reshaped_value(model, node, b.value, {count(b, batch), count(b, inner), count(b, columns)}));
  CONVOPT_TRY(auto result, product(model, node, first, second));
  result.dims = std::move(dims);
  return Term{std::move(result), batch + rows + columns};
}

/// Products and sums over letters that name dimensions, two terms at a time.
Result<Value> einsum(Import& model, const Node& node) {
  std::string equation = node.text("equation");
  std::erase(equation, ' ');
  const auto arrow = equation.find("->");
  std::vector<std::string> letters(1);
  for (const char c : equation.substr(0, arrow)) {
    if (c == ',') {
      letters.emplace_back();
    } else {
      letters.back() += c;
    }
  }
  std::string result_letters;
  if (arrow != std::string::npos) {
    result_letters = equation.substr(arrow + 2);
  } else {
    std::map<char, int> uses;
    for (const std::string& term : letters)
      for (const char c : term) ++uses[c];
    for (const auto& [letter, count] : uses)
      if (count == 1) result_letters += letter;
  }
  std::vector<Term> terms;
  for (int i = 0; i < node.input_count(); ++i) {
    CONVOPT_TRY(const auto x, model.tensor_input(node, i));
    const auto at = static_cast<std::size_t>(i);
    if (at >= letters.size() || letters[at].size() != x->dims.size())
      return node.unsupported("the equation " + equation + " with inputs of these shapes");
    std::string sorted = letters[at];
    std::ranges::sort(sorted);
    if (std::ranges::adjacent_find(sorted) != sorted.end() || sorted.starts_with('.'))
      return node.unsupported("the equation " + equation);
    for (std::size_t d = 0; d < letters[at].size(); ++d)
      for (const Term& other : terms)
        if (const auto same = other.letters.find(letters[at][d]);
            same != std::string::npos && other.value.dims[same] != x->dims[d])
          return node.error("its inputs do not fit the equation " + equation);
    terms.push_back({*x, letters[at]});
  }
  if (terms.empty() || terms.size() != letters.size())
    return node.error("its equation " + equation + " is for another number of inputs");
  for (const char c : result_letters)
    if (std::ranges::none_of(terms,
                             [&](const Term& t) { return t.letters.find(c) != t.letters.npos; }))
      return node.error("its equation " + equation + " has a result that no input has");
  while (terms.size() > 1) {
    std::string needed = result_letters;
    for (std::size_t i = 2; i < terms.size(); ++i) needed += terms[i].letters;
    CONVOPT_TRY(auto both, contracted(model, node, terms[0], terms[1], needed));
    terms.erase(terms.begin());
    terms[0] = std::move(both);
  }
  CONVOPT_TRY(auto result, arranged(model, node, terms[0], result_letters));
  return result.value;
}

}  // namespace

Result<Value> product(Import& model, const Node& node, const Value& left, const Value& right) {
  const ConstantPointer matrix = right.constant;
  if (left.is_tensor() && matrix != nullptr && matrix->dims.size() == 2 && matrix->is_float) {
    return linear(model, node, left, model.weights_of(matrix), matrix->dims[0], matrix->dims[1]);
  }
  std::array<Value, 2> factors;
  std::array<Dims, 2> sizes;
  for (const int i : {0, 1}) {
    CONVOPT_TRY(const Value* given, model.as_tensor(node.name(), i == 0 ? left : right));
    CONVOPT_TRY(given, model.plain(node.name(), *given));
    factors[static_cast<std::size_t>(i)] = *given;
    sizes[static_cast<std::size_t>(i)] = given->dims;
  }
  if (sizes[0].empty() || sizes[1].empty()) return node.error("its factors must have dimensions");
  const bool is_row = sizes[0].size() == 1, is_column = sizes[1].size() == 1;
  if (is_row) sizes[0].insert(sizes[0].begin(), 1);
  if (is_column) sizes[1].push_back(1);
  const std::size_t rank = std::max(sizes[0].size(), sizes[1].size());
  if (rank > kMaxRank) return node.unsupported("more than eight dimensions");
  std::array<TensorId, 2> tensors{};
  for (const std::size_t i : {0U, 1U}) {
    sizes[i].insert(sizes[i].begin(), rank - sizes[i].size(), 1);
    CONVOPT_TRY(tensors[i], model.shaped(node.name(), factors[i], ranked_shape(sizes[i])));
  }
  const Workload workload = Workload::matmul(ranked_shape(sizes[0]), ranked_shape(sizes[1]), false);
  if (!workload.validate())
    return node.error("its factors of the shapes " + dims_text(factors[0].dims) + " and " +
                      dims_text(factors[1].dims) + " do not go together");
  const TensorShape result = workload.output();
  Dims dims(result.sizes().begin(), result.sizes().end());
  if (is_column) dims.pop_back();
  if (is_row) dims.erase(dims.end() - (is_column ? 1 : 2));
  return made(model.graph().add(model.label(node), tensors, workload), std::move(dims));
}

OperatorTable matmul_operators() {
  static constexpr OperatorHandler kHandlers[] = {
      {"Gemm", gemm},
      {"MatMul", matmul},
      {"Einsum", einsum},
  };
  return kHandlers;
}

}  // namespace convopt::onnx_reader
