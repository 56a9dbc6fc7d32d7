#include "model/trained_model.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_map>

#include "core/files.h"
#include "core/json.h"
#include "model/features.h"

namespace convopt {
namespace {

// Changes when older files can no longer be read. A change of the features needs no new number: the
// file carries their names.
constexpr std::string_view kSchema = "convopt.model/4";
// Every so many shapes one is learnt from without laws. With none, a model of Zen 5 is wrong by 50
// % on Zen 4, whose laws it does not know, instead of by 21 %.
constexpr std::size_t kHiddenStep = 3;
constexpr const char* kContentAttribute = "convopt";
constexpr const char* kChecksumAttribute = "convopt_checksum";
// Followed by 16 hexadecimal digits: the hash of the file with zeros in their place. XGBoost's
// reader trusts its input, so that a damaged file must not reach it.
constexpr std::string_view kChecksumMark = "convopt-checksum:";
constexpr std::size_t kChecksumDigits = 16;

// A workload this much smaller or larger than any seen (a factor of 1.25) is still called known.
constexpr double kRangeTolerance = 0.33;

// Position of the digits; npos if there is no mark, or more than one.
std::size_t find_checksum(std::string_view bytes) {
  const std::size_t mark = bytes.find(kChecksumMark);
  if (mark == std::string_view::npos) return mark;
  const std::size_t digits = mark + kChecksumMark.size();
  if (digits + kChecksumDigits > bytes.size()) return std::string_view::npos;
  if (bytes.find(kChecksumMark, digits) != std::string_view::npos) return std::string_view::npos;
  return digits;
}

std::string checksum(std::string bytes, std::size_t digits) {
  bytes.replace(digits, kChecksumDigits, kChecksumDigits, '0');
  return hex16(hash64(bytes));
}

Json json_of(const Intervals::Range& range) { return Json::array({range.low, range.high}); }
Intervals::Range range_of(const Json& json) {
  return {json.at(0).get<double>(), json.at(1).get<double>()};
}

// One machine measured on two days is described twice and named once.
void name_platform(ModelInfo& info, const Platform& platform) {
  if (std::ranges::count(info.platforms, platform.id()) == 0) {
    info.platforms.push_back(platform.id());
  }
}

template <class Map>
Json json_of_numbers(const Map& map) {
  Json json = Json::object();
  for (const auto& [name, value] : map) json[name] = value;
  return json;
}

template <class Map>
void read_numbers(const Json& json, Map& map) {
  for (const auto& [name, value] : json.items()) map[name] = value.template get<double>();
}

Json json_of(const std::map<std::string, Law, std::less<>>& laws) {
  Json json = Json::object();
  for (const auto& [name, law] : laws) json[name] = law.coefficients;
  return json;
}

Json json_of(const Laws& laws) {
  return {{"by_op", json_of(laws.by_op)},
          {"by_kind", json_of(laws.by_kind)},
          {"by_primitive", json_of(laws.by_primitive)},
          {"op_of_primitive", laws.op_of_primitive}};
}

void read(const Json& json, Laws& laws) {
  const auto read_laws = [](const Json& from, std::map<std::string, Law, std::less<>>& into) {
    for (const auto& [name, law] : from.items()) law.get_to(into[name].coefficients);
  };
  read_laws(json.at("by_op"), laws.by_op);
  read_laws(json.at("by_kind"), laws.by_kind);
  read_laws(json.at("by_primitive"), laws.by_primitive);
  for (const auto& [name, op] : json.at("op_of_primitive").items()) {
    laws.op_of_primitive[name] = op.get<std::string>();
  }
}

Json json_of(const Blend& blend) {
  Json json = {{"offset", blend.offset}, {"slope", blend.slope},
               {"size", blend.size},     {"own", json_of_numbers(blend.own)},
               {"laws", Json::array()},  {"fields", Json::array()}};
  for (const auto& [weight, laws] : blend.laws) {
    json["laws"].push_back({{"weight", weight}, {"laws", json_of(laws)}});
  }
  for (const Field& field : blend.fields) {
    json["fields"].push_back(
        {{"points", field.points}, {"factors", json_of_numbers(field.factors)}});
  }
  return json;
}

bool read(const Json& json, Blend& blend) {
  json.at("offset").get_to(blend.offset);
  json.at("slope").get_to(blend.slope);
  json.at("size").get_to(blend.size);
  read_numbers(json.at("own"), blend.own);
  for (const Json& entry : json.at("laws")) {
    auto& [weight, laws] = blend.laws.emplace_back();
    entry.at("weight").get_to(weight);
    read(entry.at("laws"), laws);
  }
  for (const Json& entry : json.at("fields")) {
    Field& field = blend.fields.emplace_back();
    entry.at("points").get_to(field.points);
    for (const auto& [key, factors] : entry.at("factors").items()) {
      factors.get_to(field.factors[key]);
      if (field.factors[key].size() != field.points.size() + 1) return false;
    }
  }
  return true;
}

Json content_of(const ModelParts& parts) {
  Json json;
  json["schema"] = kSchema;
  json["features"] = feature_names();
  json["category_codes"] = parts.codes.tables();
  json["method"] = parts.method;
  json["timing_mode"] = to_string(parts.info.timing_mode);
  json["seed"] = parts.info.seed;
  json["samples"] = parts.info.samples;
  json["workloads"] = parts.info.workloads;
  json["libraries"] = Json::object();
  for (const auto& [name, version] : parts.info.libraries) json["libraries"][name] = version;
  json["holdout"] = {{"mdrae", parts.holdout.mdrae},
                     {"within_10_percent", parts.holdout.within_10_percent},
                     {"spearman", parts.holdout.spearman},
                     {"regret", parts.holdout.regret},
                     {"interval_coverage", parts.info.interval_coverage}};
  const BoosterParameters& p = parts.parameters;
  json["training"] = {{"rounds", p.rounds}, {"leaves", p.leaves},
                      {"eta", p.eta},       {"min_child_weight", p.min_child_weight},
                      {"lambda", p.lambda}, {"column_share", p.column_share}};
  json["platforms"] = Json::array();
  for (const Platform& platform : parts.platforms) json["platforms"].push_back(to_json(platform));
  json["primitives"] = parts.info.primitives;
  const Effects& effects = parts.background.effects;
  json["effects"] = {{"overall", effects.overall},
                     {"by_kind", json_of_numbers(effects.by_kind)},
                     {"by_primitive", json_of_numbers(effects.by_primitive)}};
  json["law_terms"] = law_term_names();
  json["laws"] = json_of(parts.background.laws);
  json["laws_of_platform"] = Json::object();
  for (const auto& [id, laws] : parts.background.of_platform) {
    json["laws_of_platform"][id] = json_of(laws);
  }
  json["adapted_laws"] = parts.adapted ? json_of(*parts.adapted) : Json();
  json["blend"] = json_of(parts.blend);
  json["intervals"]["pooled"] = json_of(parts.intervals.pooled);
  json["intervals"]["width"] = json_of_numbers(parts.intervals.width);
  json["intervals"]["by_op"] = Json::object();
  for (const auto& [op, range] : parts.intervals.by_op) {
    json["intervals"]["by_op"][op] = json_of(range);
  }
  json["ranges"] = Json::object();
  for (const auto& [op, range] : parts.ranges) {
    json["ranges"][op] = Json::array({range.first, range.second});
  }
  return json;
}

Result<ModelParts> parts_of(const Json& json, const std::string& what) {
  const auto bad = [&](const std::string& why) {
    return make_error(ErrorCode::bad_input, what + " " + why);
  };
  try {
    const std::string schema = json.at("schema").get<std::string>();
    if (schema != kSchema) {
      return bad("has the schema '" + schema + "', this version reads '" + std::string(kSchema) +
                 "'");
    }
    const auto names = json.at("features").get<std::vector<std::string>>();
    if (!std::ranges::equal(names, feature_names())) {
      return bad("was trained on other features than this version computes; train it again");
    }
    ModelParts parts;
    parts.codes = CategoryCodes::frozen();
    if (const auto tables = json.find("category_codes"); tables != json.end()) {
      auto codes = CategoryCodes::create(tables->get<CategoryCodes::Tables>());
      if (!codes) return bad(codes.error().message);
      parts.codes = std::move(*codes);
    }
    parts.method = json.at("method").get<std::string>();
    const std::string mode = json.at("timing_mode").get<std::string>();
    bool known = false;
    for (const TimingMode m : {TimingMode::warm, TimingMode::cold_weights}) {
      if (to_string(m) != mode) continue;
      parts.info.timing_mode = m;
      known = true;
    }
    if (!known) return bad("has the unknown timing mode '" + mode + "'");
    parts.info.seed = json.at("seed").get<std::uint64_t>();
    parts.info.samples = json.at("samples").get<std::size_t>();
    parts.info.workloads = json.at("workloads").get<std::size_t>();
    for (const auto& [name, version] : json.at("libraries").items()) {
      parts.info.libraries[name] = version.get<std::string>();
    }
    const Json& holdout = json.at("holdout");
    holdout.at("mdrae").get_to(parts.holdout.mdrae);
    holdout.at("within_10_percent").get_to(parts.holdout.within_10_percent);
    holdout.at("spearman").get_to(parts.holdout.spearman);
    holdout.at("regret").get_to(parts.holdout.regret);
    holdout.at("interval_coverage").get_to(parts.info.interval_coverage);
    parts.info.holdout_mdrae = parts.holdout.mdrae;
    const Json& training = json.at("training");
    training.at("rounds").get_to(parts.parameters.rounds);
    training.at("leaves").get_to(parts.parameters.leaves);
    training.at("eta").get_to(parts.parameters.eta);
    training.at("min_child_weight").get_to(parts.parameters.min_child_weight);
    training.at("lambda").get_to(parts.parameters.lambda);
    training.at("column_share").get_to(parts.parameters.column_share);
    parts.parameters.seed = parts.info.seed;
    for (const Json& entry : json.at("platforms")) {
      auto platform = platform_from_json(entry);
      if (!platform) return bad("is damaged: " + platform.error().message);
      name_platform(parts.info, *platform);
      parts.platforms.push_back(std::move(*platform));
    }
    json.at("primitives").get_to(parts.info.primitives);
    const Json& effects = json.at("effects");
    effects.at("overall").get_to(parts.background.effects.overall);
    read_numbers(effects.at("by_kind"), parts.background.effects.by_kind);
    read_numbers(effects.at("by_primitive"), parts.background.effects.by_primitive);
    if (!std::ranges::equal(json.at("law_terms").get<std::vector<std::string>>(),
                            law_term_names())) {
      return bad("has laws of other terms than this version computes; train it again");
    }
    read(json.at("laws"), parts.background.laws);
    for (const auto& [id, laws] : json.at("laws_of_platform").items()) {
      read(laws, parts.background.of_platform[id]);
    }
    if (!json.at("adapted_laws").is_null()) {
      read(json.at("adapted_laws"), parts.adapted.emplace());
    }
    if (!read(json.at("blend"), parts.blend)) return bad("is damaged: a field has a wrong length");
    parts.intervals.pooled = range_of(json.at("intervals").at("pooled"));
    read_numbers(json.at("intervals").at("width"), parts.intervals.width);
    for (const auto& [op, range] : json.at("intervals").at("by_op").items()) {
      parts.intervals.by_op[op] = range_of(range);
    }
    for (const auto& [op, range] : json.at("ranges").items()) {
      auto& seen = parts.ranges[op];
      range.at(0).get_to(seen.first);
      range.at(1).get_to(seen.second);
      if (seen.first.size() != kRangeCount || seen.second.size() != kRangeCount) {
        return bad("is damaged: a range has the wrong length");
      }
    }
    return parts;
  } catch (const Json::exception& exception) {
    return bad(std::string("is damaged: ") + exception.what());
  }
}

bool inside(const std::pair<std::vector<double>, std::vector<double>>& range,
            const std::vector<double>& coordinates) {
  for (std::size_t i = 0; i < coordinates.size(); ++i) {
    if (coordinates[i] < range.first[i] - kRangeTolerance ||
        coordinates[i] > range.second[i] + kRangeTolerance) {
      return false;
    }
  }
  return true;
}

}  // namespace

SeenRanges seen_ranges(const Dataset& data) {
  SeenRanges ranges;
  for (const Workload& workload : data.workloads) {
    const std::vector<double> coordinates = range_coordinates(workload);
    const auto [at, inserted] =
        ranges.try_emplace(std::string(to_string(workload.op)), coordinates, coordinates);
    auto& [low, high] = at->second;
    for (std::size_t i = 0; i < coordinates.size(); ++i) {
      low[i] = std::min(low[i], coordinates[i]);
      high[i] = std::max(high[i], coordinates[i]);
    }
  }
  return ranges;
}

ModelInfo describe(const Dataset& data, std::uint64_t seed) {
  ModelInfo info;
  for (const Platform& platform : data.platforms) name_platform(info, platform);
  std::set<std::string> names;
  for (const PrimitiveInfo& primitive : data.primitives) {
    if (names.insert(primitive.name).second) info.primitives.push_back(primitive.name);
  }
  info.timing_mode = data.timing_mode;
  info.samples = data.samples.size();
  info.workloads = data.workloads.size();
  info.seed = seed;
  info.libraries = data.libraries;
  info.libraries["xgboost"] = xgboost_version();
  return info;
}

FeatureMatrix select_rows(const Dataset& data, std::span<const std::size_t> rows,
                          const Background& background, Hide hide) {
  std::vector<const Laws*> laws_of;
  for (const Platform& platform : data.platforms) laws_of.push_back(background.laws_of(platform));
  FeatureMatrix matrix;
  matrix.columns = data.features.columns;
  matrix.values.reserve(rows.size() * matrix.columns);
  for (const std::size_t row : rows) {
    const auto source = data.features.row(row);
    matrix.values.insert(matrix.values.end(), source.begin(), source.end());
    const Sample& sample = data.samples[row];
    const PrimitiveInfo& primitive = data.primitives[sample.primitive];
    const Laws* laws = laws_of[sample.platform];
    if (hide == Hide::also_some && sample.group % kHiddenStep == 0) laws = nullptr;
    const Law law = laws != nullptr ? laws->of(primitive) : Law{};
    write_background(background.effects.of(primitive), laws != nullptr ? &law : nullptr,
                     sample.terms, sample.log_analytic,
                     std::span(matrix.values).last(matrix.columns));
  }
  return matrix;
}

Result<std::unique_ptr<TrainedModel>> TrainedModel::create(ModelParts parts, Booster booster) {
  auto bytes = booster.serialize(
      {{kContentAttribute, content_of(parts).dump()},
       {kChecksumAttribute, std::string(kChecksumMark) + std::string(kChecksumDigits, '0')}});
  if (!bytes) return bytes.error();
  const std::size_t digits = find_checksum(*bytes);
  if (digits == std::string::npos) {
    return make_error(ErrorCode::internal, "the model's checksum cannot be placed");
  }
  parts.info.id = checksum(*bytes, digits);
  bytes->replace(digits, kChecksumDigits, parts.info.id);
  return std::unique_ptr<TrainedModel>(
      new TrainedModel(std::move(parts), std::move(booster), std::move(*bytes)));
}

Result<std::unique_ptr<TrainedModel>> TrainedModel::parse(std::string bytes,
                                                          const std::string& what) {
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
  const auto json = parse_json(content->second, what);
  if (!json) return json.error();
  auto parts = parts_of(*json, what);
  if (!parts) return parts.error();
  if (loaded->booster.feature_count() != feature_names().size() ||
      !std::ranges::equal(loaded->feature_names, feature_names())) {
    return make_error(ErrorCode::bad_input, what + " holds trees over other features than it says");
  }
  parts->info.id = id;
  return std::unique_ptr<TrainedModel>(
      new TrainedModel(std::move(*parts), std::move(loaded->booster), std::move(bytes)));
}

Result<std::unique_ptr<TrainedModel>> TrainedModel::load(const std::filesystem::path& path) {
  auto bytes = read_file(path);
  if (!bytes) return bytes.error();
  return parse(std::move(*bytes), "model '" + path.string() + "'");
}

Result<void> TrainedModel::save(const std::filesystem::path& path) const {
  return write_file_atomically(path, bytes_);
}

Result<std::vector<double>> TrainedModel::log_ratios(const Dataset& data,
                                                     std::span<const std::size_t> rows) const {
  const auto trees = booster_.predict(select_rows(data, rows, parts_.background));
  if (!trees) return trees.error();
  std::vector<double> result(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const PrimitiveInfo& primitive = data.primitives[data.samples[rows[i]].primitive];
    result[i] = parts_.background.effects.of(primitive) + (*trees)[i];
  }
  return result;
}

Result<std::vector<Estimate>> TrainedModel::predict(std::span<const Query> queries,
                                                    const Platform& platform) const {
  const Capabilities machine = Capabilities::of(platform);
  FeatureMatrix features;
  features.columns = feature_names().size();
  features.values.resize(queries.size() * features.columns);
  const Effects& effects = parts_.background.effects;
  const Laws* const laws = parts_.background.laws_of(platform);
  struct Known {
    double effect = 0;
    Law law;
    bool known = false;
  };
  // A network asks for few primitives and workloads, many times over.
  std::unordered_map<const PrimitiveInfo*, Known> primitives;
  std::unordered_map<const Workload*, bool> workloads;
  std::vector<double> log_analytic(queries.size()), effect(queries.size());
  std::vector<LawTerms> terms(queries.size());
  std::vector<Estimate> estimates(queries.size());

  for (std::size_t i = 0; i < queries.size(); ++i) {
    FeatureInput input;
    input.workload = queries[i].workload;
    input.primitive = queries[i].primitive;
    input.platform = &platform;
    input.machine = &machine;
    input.codes = &parts_.codes;
    input.work = estimate_work(*input.workload, *input.primitive, machine.vector);
    input.time = analytic_time(input.work, machine, parts_.info.timing_mode);
    log_analytic[i] = std::log(input.time.ns);
    terms[i] = law_terms(input.work, machine, parts_.info.timing_mode);

    const auto [primitive, new_primitive] = primitives.try_emplace(input.primitive);
    if (new_primitive) {
      primitive->second = {effects.of(*input.primitive),
                           laws != nullptr ? laws->of(*input.primitive) : Law{},
                           effects.knows(*input.primitive)};
    }
    const auto [workload, new_workload] = workloads.try_emplace(input.workload, false);
    if (new_workload) {
      const auto range = parts_.ranges.find(std::string(to_string(input.workload->op)));
      workload->second =
          range != parts_.ranges.end() && inside(range->second, range_coordinates(*input.workload));
    }
    effect[i] = primitive->second.effect;
    estimates[i].extrapolated = !primitive->second.known || !workload->second;
    write_features(input, features.row(i));
    write_background(effect[i], laws != nullptr ? &primitive->second.law : nullptr, terms[i],
                     log_analytic[i], features.row(i));
  }

  const auto trees = booster_.predict(features);
  if (!trees) return trees.error();
  BlendReader blend(parts_.blend);
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const double log_ns = blend.log_ns({effect[i] + (*trees)[i], log_analytic[i], &terms[i],
                                        queries[i].workload, queries[i].primitive});
    Intervals::Range range = parts_.intervals.of(*queries[i].primitive);
    if (estimates[i].extrapolated) {
      // Coverage is stated for what was seen; outside, twice the width is a guess that errs on the
      // wide side.
      range.low *= 2;
      range.high *= 2;
    }
    estimates[i].ns = std::exp(std::clamp(log_ns, -20.0, 60.0));
    estimates[i].low_ns = estimates[i].ns * std::exp(range.low);
    estimates[i].high_ns = estimates[i].ns * std::exp(range.high);
  }
  return estimates;
}

Result<std::unique_ptr<PerformanceModel>> load_model(const std::filesystem::path& path) {
  auto model = TrainedModel::load(path);
  if (!model) return model.error();
  return std::unique_ptr<PerformanceModel>(std::move(*model));
}

}  // namespace convopt
