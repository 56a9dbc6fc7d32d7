#include "model/model_file.h"

#include <algorithm>
#include <iterator>

#include "core/files.h"
#include "core/json.h"
#include "core/names.h"
#include "core/try.h"
#include "model/features.h"
#include "model/transfer_method.h"

namespace convopt {
namespace {

// Changes when older files can no longer be read. A change of the features needs no new number: the
// file carries their names. Names of fields stay as they are, whatever they are called elsewhere.
constexpr std::string_view kSchema = "convopt.model/4";
constexpr const char* kContentAttribute = "convopt";
constexpr const char* kChecksumAttribute = "convopt_checksum";
// Followed by 16 hexadecimal digits: the hash of the file with zeros in their place. XGBoost's
// reader trusts its input, so that a damaged file must not reach it.
constexpr std::string_view kChecksumMark = "convopt-checksum:";
constexpr std::size_t kChecksumDigits = 16;

// Position of the digits; npos if there is no mark, or more than one.
std::size_t find_checksum(std::string_view bytes) {
  const std::size_t mark = bytes.find(kChecksumMark);
  if (mark == std::string_view::npos) return mark;
  const std::size_t digits = mark + kChecksumMark.size();
  if (digits + kChecksumDigits > bytes.size()) return std::string_view::npos;
  if (bytes.find(kChecksumMark, digits) != std::string_view::npos) return std::string_view::npos;
  return digits;
}

std::string checksum(std::string_view bytes, std::size_t digits) {
  const std::string zeros(kChecksumDigits, '0');
  const std::uint64_t before = hash64(bytes.substr(0, digits));
  return hex16(hash64(bytes.substr(digits + kChecksumDigits), hash64(zeros, before)));
}

// `ensemble from 0123456789abcdef`: the first word may be a name of earlier versions.
std::string method_by_todays_name(const std::string& method) {
  const std::string word = method.substr(0, method.find(' '));
  const auto known = method_named(word);
  return known ? std::string(to_string(*known)) + method.substr(word.size()) : method;
}

/// Content that no version of convopt writes: the end of a sentence about the file.
struct Damage {
  std::string why;
};

/// visit_fields() names the fields of a struct once, for a Writer and for a Reader. Reading throws
/// Damage and the exceptions of Json.
class Writer {
 public:
  explicit Writer(Json& json) : json_(json) { json_ = Json::object(); }
  template <class T>
  void operator()(const char* name, const T& value) {
    json_[name] = value;
  }
  template <class Visit>
  void object(const char* name, Visit&& visit) {
    Writer inner(json_[name]);
    visit(inner);
  }

 private:
  Json& json_;
};

class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}
  template <class T>
  void operator()(const char* name, T& value) {
    json_.at(name).get_to(value);
  }
  template <class Visit>
  void object(const char* name, Visit&& visit) {
    Reader inner(json_.at(name));
    visit(inner);
  }

 private:
  const Json& json_;
};

template <class T>
concept HasFields = requires(Reader& reader, T& value) {
  visit_fields(reader, value);
};

}  // namespace

// Not in the unnamed namespace, where Json would not find them.
template <HasFields T>
static void to_json(Json& json, const T& value) {
  Writer writer(json);
  visit_fields(writer, const_cast<T&>(value));
}
template <HasFields T>
static void from_json(const Json& json, T& value) {
  Reader reader(json);
  visit_fields(reader, value);
}
static void to_json(Json& json, const LinearCost& cost) { json = cost.coefficients; }
static void from_json(const Json& json, LinearCost& cost) { json.get_to(cost.coefficients); }
static void to_json(Json& json, const Intervals::Range& range) {
  json = Json::array({range.low, range.high});
}
static void from_json(const Json& json, Intervals::Range& range) {
  json.at(0).get_to(range.low);
  json.at(1).get_to(range.high);
}

template <class Archive>
static void visit_fields(Archive& archive, HoldoutScores& scores) {
  archive("mdrae", scores.mdrae);
  archive("within_10_percent", scores.within_10_percent);
  archive("spearman", scores.spearman);
  archive("regret", scores.regret);
}

template <class Archive>
static void visit_fields(Archive& archive, BoosterParameters& parameters) {
  archive("rounds", parameters.rounds);
  archive("leaves", parameters.leaves);
  archive("eta", parameters.eta);
  archive("min_child_weight", parameters.min_child_weight);
  archive("lambda", parameters.lambda);
  archive("column_share", parameters.column_share);
}

template <class Archive>
static void visit_fields(Archive& archive, Intercepts& intercepts) {
  archive("overall", intercepts.overall);
  archive("by_kind", intercepts.by_kind);
  archive("by_primitive", intercepts.by_primitive);
}

template <class Archive>
static void visit_fields(Archive& archive, LinearCosts& costs) {
  archive("by_op", costs.by_op);
  archive("by_kind", costs.by_kind);
  archive("by_primitive", costs.by_primitive);
  archive("op_of_primitive", costs.op_of_primitive);
}

template <class Archive>
static void visit_fields(Archive& archive, WeightedCosts& costs) {
  archive("weight", costs.weight);
  archive("laws", costs.costs);
}

template <class Archive>
static void visit_fields(Archive& archive, GaussianProcess& process) {
  archive("points", process.points);
  archive("factors", process.factors);
  for (const auto& [key, factors] : process.factors) {
    if (factors.size() != process.points.size() + 1) {
      throw Damage{"is damaged: a Gaussian process has a wrong length"};
    }
  }
}

template <class Archive>
static void visit_fields(Archive& archive, Ensemble& ensemble) {
  archive("offset", ensemble.offset);
  archive("slope", ensemble.slope);
  archive("size", ensemble.size);
  archive("own", ensemble.own);
  archive("laws", ensemble.costs);
  archive("fields", ensemble.processes);
}

template <class Archive>
static void visit_fields(Archive& archive, Intervals& intervals) {
  archive("pooled", intervals.pooled);
  archive("width", intervals.width);
  archive("by_op", intervals.by_op);
}

// All but what content_of() and parts_of() treat differently.
template <class Archive>
static void visit_fields(Archive& archive, ModelParts& parts) {
  archive("method", parts.method);
  archive("seed", parts.info.seed);
  archive("samples", parts.info.samples);
  archive("workloads", parts.info.workloads);
  archive("libraries", parts.info.libraries);
  archive.object("holdout", [&](auto& holdout) {
    visit_fields(holdout, parts.holdout);
    holdout("interval_coverage", parts.info.interval_coverage);
  });
  archive("training", parts.parameters);
  archive("primitives", parts.info.primitives);
  archive("effects", parts.priors.intercepts);
  archive("blend", parts.ensemble);
  archive("intervals", parts.intervals);
  archive("ranges", parts.ranges);
}

namespace {

Result<Json> content_of(const ModelParts& parts) {
  Json json = parts;
  json["schema"] = kSchema;
  json["features"] = feature_names();
  json["category_codes"] = parts.codes.tables();
  json["timing_mode"] = to_string(parts.info.timing_mode);
  json["platforms"] = Json::array();
  for (const Platform& platform : parts.platforms) json["platforms"].push_back(to_json(platform));
  json["law_terms"] = cost_term_names();
  json["adapted_laws"] = parts.adapted ? Json(*parts.adapted) : Json();
  CONVOPT_TRY(const LinearCosts* const common, parts.priors.costs.get());
  json["laws"] = *common;
  json["laws_of_platform"] = Json::object();
  for (const auto& [id, deferred] : parts.priors.of_platform) {
    CONVOPT_TRY(const LinearCosts* const costs, deferred.get());
    json["laws_of_platform"][id] = *costs;
  }
  return json;
}

ModelParts parts_of(const Json& json) {
  const std::string schema = json.at("schema").get<std::string>();
  if (schema != kSchema) {
    throw Damage{"has the schema '" + schema + "', this version reads '" + std::string(kSchema) +
                 "'"};
  }
  const auto is = [&](const char* field, const auto& names) {
    return std::ranges::equal(json.at(field).get<std::vector<std::string>>(), names);
  };
  if (!is("features", feature_names())) {
    throw Damage{"was trained on other features than this version computes; train it again"};
  }
  if (!is("law_terms", cost_term_names())) {
    throw Damage{"has cost models of other terms than this version computes; train it again"};
  }
  auto parts = json.get<ModelParts>();
  parts.method = method_by_todays_name(parts.method);
  parts.info.holdout_mdrae = parts.holdout.mdrae;
  parts.parameters.seed = parts.info.seed;
  // Without tables: written while enumerations' ordinals served as codes.
  parts.codes = CategoryCodes::frozen();
  if (const auto tables = json.find("category_codes"); tables != json.end()) {
    auto codes = CategoryCodes::create(tables->get<CategoryCodes::Tables>());
    if (!codes) throw Damage{codes.error().message};
    parts.codes = std::move(*codes);
  }
  const auto mode = json.at("timing_mode").get<std::string>();
  const auto known_mode = value_named<TimingMode>(mode);
  if (!known_mode) throw Damage{"has the unknown timing mode '" + mode + "'"};
  parts.info.timing_mode = *known_mode;
  for (const Json& entry : json.at("platforms")) {
    auto platform = platform_from_json(entry);
    if (!platform) throw Damage{"is damaged: " + platform.error().message};
    name_platform(parts.info, *platform);
    parts.platforms.push_back(std::move(*platform));
  }
  if (const Json& adapted = json.at("adapted_laws"); !adapted.is_null()) {
    adapted.get_to(parts.adapted.emplace());
  }
  for (const auto& [op, range] : parts.ranges) {
    if (range.first.size() != kRangeCount || range.second.size() != kRangeCount) {
      throw Damage{"is damaged: a range has the wrong length"};
    }
  }
  return parts;
}

/// Calls `read` and turns what reading throws into an error about `what`.
template <class Read>
auto without_exceptions(const std::string& what, Read&& read) -> Result<decltype(read())> {
  try {
    return read();
  } catch (const Damage& damage) {
    return make_error(ErrorCode::bad_input, what + " " + damage.why);
  } catch (const Json::exception& exception) {
    return make_error(ErrorCode::bad_input, what + " is damaged: " + exception.what());
  }
}

DeferredCosts deferred(std::string_view text, const std::string& what) {
  return DeferredCosts([text = std::string(text), what]() -> Result<LinearCosts> {
    CONVOPT_TRY(const Json json, parse_json(text, what));
    return without_exceptions(what, [&] { return json.get<LinearCosts>(); });
  });
}

Result<ModelParts> read_parts(std::string_view content, const std::string& what) {
  CONVOPT_TRY(const auto members, json_members(content, what));
  Json json = Json::object();
  DeferredCosts costs;
  std::map<std::string, DeferredCosts, std::less<>> of_platform;
  for (const auto& [name, text] : members) {
    if (name == "laws") {
      costs = deferred(text, what);
    } else if (name == "laws_of_platform") {
      CONVOPT_TRY(const auto platforms, json_members(text, what));
      for (const auto& [id, own] : platforms) of_platform.emplace(id, deferred(own, what));
    } else {
      CONVOPT_TRY(json[name], parse_json(text, what));
    }
  }
  CONVOPT_TRY(ModelParts parts, without_exceptions(what, [&] { return parts_of(json); }));
  parts.priors.costs = std::move(costs);
  parts.priors.of_platform = std::move(of_platform);
  return parts;
}

}  // namespace

Result<std::string> write_model(ModelParts& parts, const Booster& booster) {
  CONVOPT_TRY(const Json content, content_of(parts));
  CONVOPT_TRY(std::string bytes,
              booster.serialize({{kContentAttribute, content.dump()},
                                 {kChecksumAttribute, std::string(kChecksumMark) +
                                                          std::string(kChecksumDigits, '0')}}));
  const std::size_t digits = find_checksum(bytes);
  if (digits == std::string::npos) {
    return make_error(ErrorCode::internal, "the model's checksum cannot be placed");
  }
  parts.info.id = checksum(bytes, digits);
  bytes.replace(digits, kChecksumDigits, parts.info.id);
  return bytes;
}

Result<ModelContent> read_model(const std::string& bytes, const std::string& what) {
  const std::size_t digits = find_checksum(bytes);
  if (digits == std::string::npos) {
    return make_error(ErrorCode::bad_input,
                      what + " is not a complete model of convopt: its checksum is missing");
  }
  const std::string id = bytes.substr(digits, kChecksumDigits);
  if (checksum(bytes, digits) != id) {
    return make_error(ErrorCode::bad_input,
                      what + " is damaged: its content does not match its checksum");
  }
  auto loaded = Booster::deserialize(bytes);
  if (!loaded) return make_error(ErrorCode::bad_input, what + ": " + loaded.error().message);
  const auto content = loaded->attributes.find(kContentAttribute);
  if (content == loaded->attributes.end()) {
    return make_error(ErrorCode::bad_input, what + " is an XGBoost model, but none of convopt");
  }
  CONVOPT_TRY(ModelParts parts, read_parts(content->second, what));
  if (loaded->booster.feature_count() != feature_names().size() ||
      !std::ranges::equal(loaded->feature_names, feature_names())) {
    return make_error(ErrorCode::bad_input, what + " holds trees over other features than it says");
  }
  parts.info.id = id;
  return ModelContent{std::move(parts), std::move(loaded->booster)};
}

}  // namespace convopt
