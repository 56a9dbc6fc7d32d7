#include "src/select/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/files.h"
#include "core/json.h"
#include "core/json_lines.h"
#include "core/json_reader.h"
#include "core/names.h"
#include "core/quantisation.h"
#include "core/quantised_tensors.h"
#include "core/text.h"
#include "core/try.h"
#include "src/select/fusion.h"

namespace convopt {
namespace {

constexpr std::string_view kCalibrationSchema = "convopt.calibration/1";
constexpr std::array<std::string_view, 3> kRangeRules = {"max", "percentile", "mse"};

Result<TensorRange> range_from_json(const Json& json, const std::string& what) {
  JsonReader reader(json, what);
  TensorRange range;
  reader.text("name", range.name, true);
  reader.number("low", range.low, true);
  reader.number("high", range.high, true);
  reader.number("percentile", range.percentile, true);
  reader.number("mse", range.mse, true);
  const bool finite = std::isfinite(range.low) && std::isfinite(range.high) &&
                      std::isfinite(range.percentile) && std::isfinite(range.mse);
  if (reader.ok() &&
      !(finite && range.low <= range.high && range.percentile >= 0 && range.mse >= 0)) {
    reader.fail("is no range");
  }
  if (!reader.ok()) return reader.error();
  return range;
}

std::string_view key_of(Sensitivity::Of of) {
  return of == Sensitivity::Of::tensor ? "tensor" : "operator";
}

Json json_of(const Sensitivity& sensitivity) {
  Json json = {{"type", to_string(sensitivity.type)}};
  json[std::string(key_of(sensitivity.of))] = sensitivity.name;
  // JSON has no infinity.
  json["error"] = std::isfinite(sensitivity.error) ? Json(sensitivity.error) : Json();
  json["cosine"] = sensitivity.cosine;
  return json;
}

Result<Sensitivity> sensitivity_from_json(const Json& json, const std::string& what) {
  JsonReader reader(json, what);
  Sensitivity result;
  std::string type, tensor, weights;
  reader.text("type", type, true);
  reader.text("tensor", tensor);
  reader.text("operator", weights);
  const Json* error = reader.find("error", true);
  if (error != nullptr && error->is_null()) {
    result.error = std::numeric_limits<double>::infinity();
  } else {
    reader.number("error", result.error, true);
  }
  reader.number("cosine", result.cosine, true);
  if (reader.ok() && type != "bf16" && type != "s8") {
    reader.fail("is to the type " + in_quotes(type) + ", not to bf16 or s8");
  }
  if (reader.ok() && tensor.empty() == weights.empty()) {
    reader.fail("names neither a tensor nor an operator, or both");
  }
  const bool possible = result.error >= 0 && result.cosine >= -1 && result.cosine <= 1;
  if (reader.ok() && !possible) reader.fail("has an error below 0 or a cosine outside -1 to 1");
  if (!reader.ok()) return reader.error();
  result.type = type == "s8" ? DataType::s8 : DataType::bf16;
  result.of = tensor.empty() ? Sensitivity::Of::weights : Sensitivity::Of::tensor;
  result.name = tensor.empty() ? weights : tensor;
  return result;
}

bool has_int8(const std::vector<Sensitivity>& sensitivities) {
  return std::ranges::count(sensitivities, DataType::s8, &Sensitivity::type) > 0;
}

Result<void> read_sensitivities(JsonReader& reader, const std::string& file,
                                Calibration& calibration) {
  CONVOPT_CHECK(read_list(reader, "sensitivities", file, calibration.sensitivities,
                          sensitivity_from_json, false));
  std::unordered_set<std::string> seen;
  for (const Sensitivity& s : calibration.sensitivities) {
    const std::string place = std::string(key_of(s.of)) + " " + in_quotes(s.name);
    const std::string type(to_string(s.type));
    if (!seen.insert(type + place).second) {
      reader.fail("gives the sensitivity to " + type + " of the " + place + " twice");
    }
  }
  reader.number("sensitivity_samples", calibration.sensitivity_samples);
  if (!has_int8(calibration.sensitivities)) return {};
  std::string rule;
  reader.text("sensitivity_range", rule, true);
  if (!reader.ok()) return {};
  if (const auto known = parse_range_rule(rule)) {
    calibration.sensitivity_range = *known;
  } else {
    reader.fail("field 'sensitivity_range' is " + in_quotes(rule) +
                ", none of max, percentile and mse");
  }
  return {};
}

float size_of(const TensorRange& range, RangeRule rule) {
  switch (rule) {
    case RangeRule::percentile:
      return range.percentile;
    case RangeRule::mse:
      return range.mse;
    default:
      return std::max(-range.low, range.high);
  }
}

/// What a type has to represent, zero included.
struct Extent {
  float low = 0, high = 0;
};

/// u8 without a zero point for what is never negative; s8 where both sides of zero are about as
/// long; else u8 with a zero point, whose steps are smaller then.
TensorScale scale_for(const Extent& extent) {
  // Of steps of s8 over those of u8: less than a third of a bit is not worth more work round
  // images.
  constexpr float kWorthAZeroPoint = 1.25F;
  const float size = std::max(-extent.low, extent.high);
  const float symmetric = size / largest_number(DataType::s8);
  const float skewed = (extent.high - extent.low) / largest_number(DataType::u8);
  const bool is_skewed = symmetric > kWorthAZeroPoint * skewed;
  const DataType type = is_skewed ? DataType::u8 : DataType::s8;
  const float scale = is_skewed ? skewed : symmetric;
  // All zeros, or as good as.
  if (!(scale > std::numeric_limits<float>::min())) return {DataType::u8};
  const float zero = type == DataType::u8 ? quantised(-extent.low / scale, type) : 0;
  return {type, scale, static_cast<int>(zero)};
}

/// Sets of tensors that share a scale.
class ScaleGroups {
 public:
  explicit ScaleGroups(std::size_t tensors) : parent_(tensors) {
    std::iota(parent_.begin(), parent_.end(), 0);
  }
  TensorId root(TensorId tensor) {
    while (parent_[tensor] != tensor) tensor = parent_[tensor] = parent_[parent_[tensor]];
    return tensor;
  }
  void join(TensorId a, TensorId b) { parent_[root(a)] = root(b); }

 private:
  std::vector<TensorId> parent_;
};

}  // namespace

std::string_view to_string(RangeRule rule) { return name_in<RangeRule>(kRangeRules, rule); }

std::optional<RangeRule> parse_range_rule(std::string_view text) {
  return value_named<RangeRule>(text);
}

std::string to_json(const Calibration& calibration) {
  Json tensors = Json::array();
  for (const TensorRange& range : calibration.tensors) {
    tensors.push_back({{"name", range.name},
                       {"low", range.low},
                       {"high", range.high},
                       {"percentile", range.percentile},
                       {"mse", range.mse}});
  }
  Json document = {{"schema", kCalibrationSchema},
                   {"network", calibration.network},
                   {"network_hash", calibration.network_hash},
                   {"samples", calibration.samples},
                   {"tensors", std::move(tensors)}};
  if (calibration.sensitivities.empty()) return one_element_per_line(document);
  document["sensitivity_samples"] = calibration.sensitivity_samples;
  if (has_int8(calibration.sensitivities)) {
    document["sensitivity_range"] = to_string(calibration.sensitivity_range);
  }
  Json sensitivities = Json::array();
  for (const Sensitivity& s : calibration.sensitivities) sensitivities.push_back(json_of(s));
  document["sensitivities"] = std::move(sensitivities);
  return one_element_per_line(document);
}

Result<Calibration> parse_calibration(std::string_view text, std::string_view file_name) {
  CONVOPT_TRY(const Json document, parse_json(text, file_name));
  const std::string file(file_name);
  JsonReader reader(document, file + ":");
  std::string schema;
  reader.text("schema", schema, true);
  if (reader.ok() && schema != kCalibrationSchema) {
    reader.fail("is not a calibration of schema " + std::string(kCalibrationSchema) + " but '" +
                schema.substr(0, 60) + "'");
  }
  Calibration calibration;
  reader.text("network", calibration.network, true);
  reader.text("network_hash", calibration.network_hash);
  reader.number("samples", calibration.samples);
  CONVOPT_CHECK(read_list(reader, "tensors", file, calibration.tensors, range_from_json));
  const bool is_empty = std::ranges::all_of(calibration.tensors, [](const TensorRange& range) {
    return range.low == 0 && range.high == 0;
  });
  if (is_empty) reader.fail("holds no range but 0: was it made of inputs that are all 0?");
  CONVOPT_CHECK(read_sensitivities(reader, file, calibration));
  if (!reader.ok()) return reader.error();
  return calibration;
}

Result<Calibration> load_calibration(const std::filesystem::path& path) {
  CONVOPT_TRY(const std::string text, read_file(path));
  return parse_calibration(text, path.string());
}

bool has_int8_form(Op op) {
  constexpr std::array kScaling = {Op::conv, Op::fully_connected, Op::add, Op::activation};
  return std::ranges::find(kScaling, op) != kScaling.end() || keeps_scale(op);
}

Result<void> check_fits(const Network& network, const Calibration& calibration) {
  std::unordered_set<std::string_view> tensors, operators;
  for (const Tensor& tensor : network.tensors) tensors.insert(tensor.name);
  for (const Operator& op : network.operators) operators.insert(op.name);
  const bool fits =
      std::ranges::all_of(calibration.tensors,
                          [&](const TensorRange& range) { return tensors.contains(range.name); }) &&
      std::ranges::all_of(calibration.sensitivities, [&](const Sensitivity& s) {
        return (s.of == Sensitivity::Of::tensor ? tensors : operators).contains(s.name);
      });
  if (fits) return {};
  return make_error(ErrorCode::bad_input, "the calibration does not fit the network " +
                                              network.name + ": it was made for " +
                                              calibration.network + " with other tensors");
}

Result<std::vector<TensorScale>> tensor_scales(const Network& network,
                                               const Calibration& calibration, RangeRule rule) {
  CONVOPT_CHECK(check_fits(network, calibration));
  std::unordered_map<std::string_view, const TensorRange*> named;
  for (const TensorRange& range : calibration.tensors) named[range.name] = &range;
  const std::size_t count = network.tensors.size();
  const std::vector<char> exact = exact_tensors(network);
  std::vector<const TensorRange*> ranges(count, nullptr);
  for (std::size_t t = 0; t < count; ++t) {
    const Tensor& tensor = network.tensors[t];
    const auto found = named.find(tensor.name);
    if (found == named.end() || exact[t] != 0) continue;
    if (tensor.shape.is_image() && tensor.type == DataType::f32) ranges[t] = found->second;
  }
  ScaleGroups groups(count);
  for (const Operator& op : network.operators) {
    std::vector<TensorId> touched = op.inputs;
    touched.insert(touched.end(), op.outputs.begin(), op.outputs.end());
    const auto has_range = [&](TensorId t) { return ranges[t] != nullptr; };
    const bool keeps = op.kind == OperatorKind::reshape ||
                       (op.kind == OperatorKind::compute && keeps_scale(op.workload.op));
    if (!keeps || !std::ranges::all_of(touched, has_range)) continue;
    for (const TensorId t : touched) groups.join(t, touched.front());
  }
  std::vector<Extent> common(count);
  for (TensorId t = 0; t < static_cast<TensorId>(count); ++t) {
    if (ranges[t] == nullptr) continue;
    Extent& group = common[groups.root(t)];
    const float size = size_of(*ranges[t], rule);
    group.low = std::min(group.low, std::max(ranges[t]->low, -size));
    group.high = std::max(group.high, std::min(ranges[t]->high, size));
  }
  std::vector<TensorScale> scales(count);
  for (TensorId t = 0; t < static_cast<TensorId>(count); ++t) {
    if (ranges[t] != nullptr) scales[t] = scale_for(common[groups.root(t)]);
  }
  return scales;
}

std::vector<TensorScale> model_scales(const Network& network) {
  const std::vector<Activation> quantised =
      quantised_tensors(network.tensors.size(), network.operators);
  const std::vector<char> exact = exact_tensors(network);
  std::vector<TensorScale> scales(network.tensors.size());
  for (std::size_t t = 0; t < scales.size(); ++t) {
    const Tensor& tensor = network.tensors[t];
    const Activation& steps = quantised[t];
    // Quotients of smaller steps may leave the range of numbers.
    constexpr float kLeast = 1e-18F;
    if (steps.kind == ActivationKind::none || steps.alpha < kLeast || exact[t] != 0) continue;
    if (!tensor.shape.is_image() || tensor.type != DataType::f32) continue;
    const DataType type = steps.beta == smallest_number(DataType::s8) ? DataType::s8 : DataType::u8;
    const float zero = smallest_number(type) - steps.beta;
    if (is_zero_point(zero, type)) scales[t] = {type, steps.alpha, static_cast<int>(zero)};
  }
  return scales;
}

}  // namespace convopt
