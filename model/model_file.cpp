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

// Changes when older versions of convopt can no longer read the file. A change of the features
// needs no new number: the file carries their names. Names of fields stay as they are, whatever
// they are called elsewhere.
constexpr std::string_view kSchema = "convopt.model/5";
constexpr std::string_view kSchemaFamily = "convopt.model/";
constexpr std::size_t kChecksumDigits = 16;

// A file begins with a line of the schema, the checksum of all that is not the checksum, and the
// length of the directory; then come the directory and the sections, in its order.
constexpr std::size_t kChecksumAt = kModelChecksumAt;
static_assert(kChecksumAt == kSchema.size() + 1);
constexpr std::size_t kChecksumEnd = kChecksumAt + kChecksumDigits;

// FNV-1a over words of eight bytes, little-endian, and the length: a changed word always changes
// it, in an eighth of the steps.
std::uint64_t hash_of_words(std::string_view bytes, std::uint64_t hash) {
  constexpr std::uint64_t kPrime = 1099511628211ULL;
  const auto mix = [&](std::uint64_t word) { hash = (hash ^ word) * kPrime; };
  mix(bytes.size());
  for (; !bytes.empty(); bytes.remove_prefix(std::min<std::size_t>(8, bytes.size()))) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < std::min<std::size_t>(8, bytes.size()); ++i) {
      word |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    mix(word);
  }
  return hash ^ (hash >> 32);
}

// Files of former versions.
constexpr std::string_view kFormerSchema = "convopt.model/4";
constexpr const char* kContentAttribute = "convopt";
// Followed by 16 hexadecimal digits: the hash of the file with zeros in their place. A damaged file
// must not be read: it might predict something.
constexpr std::string_view kChecksumMark = "convopt-checksum:";

// Position of the digits; npos if there is no mark, or more than one.
std::size_t find_former_checksum(std::string_view bytes) {
  const std::size_t mark = bytes.find(kChecksumMark);
  if (mark == std::string_view::npos) return mark;
  const std::size_t digits = mark + kChecksumMark.size();
  if (digits + kChecksumDigits > bytes.size()) return std::string_view::npos;
  if (bytes.find(kChecksumMark, digits) != std::string_view::npos) return std::string_view::npos;
  return digits;
}

std::string former_checksum(std::string_view bytes, std::size_t digits) {
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
// Fewer in files of versions that knew fewer terms, whose cost was none of its own.
static void from_json(const Json& json, LinearCost& cost) {
  for (std::size_t j = 0; j < std::min<std::size_t>(json.size(), kCostTerms); ++j) {
    json.at(j).get_to(cost.coefficients[j]);
  }
}
static void to_json(Json& json, const Intervals::Range& range) {
  json = Json::array({range.low, range.high});
}
static void from_json(const Json& json, Intervals::Range& range) {
  json.at(0).get_to(range.low);
  json.at(1).get_to(range.high);
}

template <class Archive>
static void visit_fields(Archive& archive, ModelScores& scores) {
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

// All but the identifier, which follows from the content.
template <class Archive>
static void visit_fields(Archive& archive, ModelInfo& info) {
  std::string mode(to_string(info.timing_mode));
  archive("timing_mode", mode);
  const auto known_mode = value_named<TimingMode>(mode);
  if (!known_mode) throw Damage{"has the unknown timing mode '" + mode + "'"};
  info.timing_mode = *known_mode;
  archive("platforms", info.platforms);
  archive("primitives", info.primitives);
  archive("samples", info.samples);
  archive("workloads", info.workloads);
  archive("mdrae", info.holdout_mdrae);
  archive("interval_coverage", info.interval_coverage);
  archive("seed", info.seed);
  archive("libraries", info.libraries);
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

Json content_of(const ModelParts& parts, const Trees& trees) {
  Json json = parts;
  json["features"] = trees.feature_names();
  json["category_codes"] = parts.codes.tables();
  json["timing_mode"] = to_string(parts.info.timing_mode);
  json["platforms"] = Json::array();
  for (const Platform& platform : parts.platforms) json["platforms"].push_back(to_json(platform));
  json["law_terms"] = cost_term_names();
  json["adapted_laws"] = parts.adapted ? Json(*parts.adapted) : Json();
  return json;
}

ModelParts parts_of(const Json& json, const Trees& trees) {
  const auto is = [&](const char* field, const auto& names) {
    return std::ranges::equal(json.at(field).get<std::vector<std::string>>(), names);
  };
  if (!is("features", trees.feature_names())) {
    throw Damage{"holds trees over other features than it says"};
  }
  const auto terms = json.at("law_terms").get<std::vector<std::string>>();
  const auto known_terms = cost_term_names();
  if (terms.size() > known_terms.size() ||
      !std::ranges::equal(terms, known_terms.first(terms.size()))) {
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

using Bytes = std::shared_ptr<const std::string>;

/// `text` lies within `bytes`.
DeferredCosts deferred_costs(const Bytes& bytes, std::string_view text, const std::string& what) {
  return DeferredCosts([bytes, text, what]() -> Result<LinearCosts> {
    CONVOPT_TRY(const Json json, parse_json(text, what));
    return without_exceptions(what, [&] { return json.get<LinearCosts>(); });
  });
}

/// A section's bytes by its name: `f32` with a model's fields, `f32/trees`, `f32/laws`, and
/// `f32/laws/PLATFORM` for each platform.
using Sections = std::vector<std::pair<std::string, std::string>>;
using SectionViews = std::vector<std::pair<std::string, std::string_view>>;

Result<void> add_sections(const std::string& name, const TypeModel& model, Sections& sections) {
  const ModelParts& parts = model.parts();
  sections.emplace_back(name, content_of(parts, model.trees()).dump());
  sections.emplace_back(name + "/trees", model.trees().encode());
  CONVOPT_TRY(const LinearCosts* const common, parts.priors.costs.get());
  sections.emplace_back(name + "/laws", Json(*common).dump());
  for (const auto& [id, deferred] : parts.priors.of_platform) {
    CONVOPT_TRY(const LinearCosts* const costs, deferred.get());
    sections.emplace_back(name + "/laws/" + id, Json(*costs).dump());
  }
  return {};
}

/// `named`: those of this type, names without the type.
Result<TypeModel> read_type(const Bytes& bytes, const SectionViews& named,
                            const std::string& what) {
  Json content;
  std::string_view encoded;
  DeferredCosts costs{LinearCosts{}};
  std::map<std::string, DeferredCosts, std::less<>> of_platform;
  constexpr std::string_view kLawsOf = "/laws/";
  for (const auto& [name, section] : named) {
    if (name.empty()) {
      CONVOPT_TRY(content, parse_json(section, what));
    } else if (name == "/trees") {
      encoded = section;
    } else if (name == "/laws") {
      costs = deferred_costs(bytes, section, what);
    } else if (name.starts_with(kLawsOf)) {
      of_platform.emplace(name.substr(kLawsOf.size()), deferred_costs(bytes, section, what));
    }
  }
  CONVOPT_TRY(auto names, without_exceptions(what, [&] {
                return content.at("features").get<std::vector<std::string>>();
              }));
  auto trees = Trees::decode(encoded, std::move(names), feature_names());
  if (!trees) return make_error(ErrorCode::bad_input, what + " " + trees.error().message);
  CONVOPT_TRY(ModelParts parts,
              without_exceptions(what, [&] { return parts_of(content, *trees); }));
  parts.priors.costs = std::move(costs);
  parts.priors.of_platform = std::move(of_platform);
  return TypeModel(std::move(parts), *std::move(trees));
}

ModelContent content_of(const Bytes& bytes, const Json& directory, std::string_view rest,
                        const std::string& what) {
  ModelContent content;
  directory.at("info").get_to(content.info);
  std::map<std::string, SectionViews> of_type;
  for (const Json& entry : directory.at("sections")) {
    const auto name = entry.at(0).get<std::string>();
    const auto size = entry.at(1).get<std::size_t>();
    if (size > rest.size()) throw Damage{"is damaged: a section is missing"};
    const std::size_t slash = std::min(name.find('/'), name.size());
    of_type[name.substr(0, slash)].emplace_back(name.substr(slash), rest.substr(0, size));
    rest.remove_prefix(size);
  }
  for (const Json& name : directory.at("types")) {
    const auto text = name.get<std::string>();
    const auto type = value_named<DataType>(text);
    const auto sections = of_type.find(text);
    if (!type || sections == of_type.end()) throw Damage{"has the unknown type '" + text + "'"};
    content.models.push_back({*type, Deferred<TypeModel>([bytes, what, named = sections->second] {
                                return read_type(bytes, named, what);
                              })});
  }
  if (content.models.empty()) throw Damage{"is damaged: it holds no model"};
  return content;
}

Result<ModelContent> read_sections(const Bytes& bytes, const std::string& what) {
  std::string_view rest = *bytes;
  const std::size_t line = rest.find('\n');
  const std::string_view schema = rest.substr(0, rest.find(' '));
  if (schema != kSchema && line != rest.npos && schema.size() < line) {
    return make_error(ErrorCode::bad_input, what + " has the schema '" + std::string(schema) +
                                                "', this version reads '" + std::string(kSchema) +
                                                "'");
  }
  if (line == rest.npos || line < kChecksumEnd ||
      model_checksum(rest) != rest.substr(kChecksumAt, kChecksumDigits)) {
    return make_error(ErrorCode::bad_input,
                      what + " is damaged: its content does not match its checksum");
  }
  const std::string id(rest.substr(kChecksumAt, kChecksumDigits));
  const std::size_t size = std::strtoull(rest.data() + kChecksumEnd, nullptr, 10);
  rest.remove_prefix(line + 1);
  CONVOPT_TRY(const Json directory, parse_json(rest.substr(0, size), what));
  rest.remove_prefix(std::min(size, rest.size()));
  CONVOPT_TRY(ModelContent content,
              without_exceptions(what, [&] { return content_of(bytes, directory, rest, what); }));
  content.info.id = id;
  return content;
}

Result<TypeModel> read_former_content(const Bytes& content, Trees trees, const std::string& what) {
  CONVOPT_TRY(const auto members, json_members(*content, what));
  Json json = Json::object();
  DeferredCosts costs{LinearCosts{}};
  std::map<std::string, DeferredCosts, std::less<>> of_platform;
  for (const auto& [name, text] : members) {
    if (name == "laws") {
      costs = deferred_costs(content, text, what);
    } else if (name == "laws_of_platform") {
      CONVOPT_TRY(const auto platforms, json_members(text, what));
      for (const auto& [id, own] : platforms) {
        of_platform.emplace(id, deferred_costs(content, own, what));
      }
    } else {
      CONVOPT_TRY(json[name], parse_json(text, what));
    }
  }
  CONVOPT_TRY(ModelParts parts, without_exceptions(what, [&] {
                const auto schema = json.at("schema").get<std::string>();
                if (schema != kFormerSchema) {
                  throw Damage{"has the schema '" + schema + "', this version reads '" +
                               std::string(kFormerSchema) + "' and '" + std::string(kSchema) + "'"};
                }
                return parts_of(json, trees);
              }));
  parts.priors.costs = std::move(costs);
  parts.priors.of_platform = std::move(of_platform);
  return TypeModel(std::move(parts), std::move(trees));
}

Result<ModelContent> read_former(const Bytes& bytes, const std::string& what) {
  const std::size_t digits = find_former_checksum(*bytes);
  if (digits == std::string::npos) {
    return make_error(ErrorCode::bad_input,
                      what + " is not a complete model of convopt: its checksum is missing");
  }
  const std::string id = bytes->substr(digits, kChecksumDigits);
  if (former_checksum(*bytes, digits) != id) {
    return make_error(ErrorCode::bad_input,
                      what + " is damaged: its content does not match its checksum");
  }
  auto loaded = read_xgboost(*bytes);
  if (loaded) {
    if (auto read = loaded->trees.read_from(feature_names()); !read) loaded = read.error();
  }
  if (!loaded) return make_error(ErrorCode::bad_input, what + " " + loaded.error().message);
  auto content = loaded->attributes.find(kContentAttribute);
  if (content == loaded->attributes.end()) {
    return make_error(ErrorCode::bad_input, what + " is an XGBoost model, but none of convopt");
  }
  CONVOPT_TRY(TypeModel model,
              read_former_content(std::make_shared<const std::string>(std::move(content->second)),
                                  std::move(loaded->trees), what));
  ModelInfo info = model.parts().info;
  info.id = id;
  std::vector<ModelOfType> models;
  models.push_back({DataType::f32, Deferred<TypeModel>(std::move(model))});
  return ModelContent{std::move(info), std::move(models)};
}

}  // namespace

std::string model_checksum(std::string_view file) {
  return hex16(hash_of_words(file.substr(kChecksumEnd), hash64(file.substr(0, kChecksumAt))));
}

Result<std::string> write_model(ModelInfo& info, std::span<const ModelOfType> models) {
  Json directory;
  directory["info"] = info;
  directory["types"] = Json::array();
  Sections sections;
  for (const auto& [type, deferred] : models) {
    CONVOPT_TRY(const TypeModel* const model, deferred.get());
    const std::string name(to_string(type));
    directory["types"].push_back(name);
    CONVOPT_CHECK(add_sections(name, *model, sections));
  }
  directory["sections"] = Json::array();
  for (const auto& [name, bytes] : sections) {
    directory["sections"].push_back(Json::array({name, bytes.size()}));
  }
  const std::string text = directory.dump();
  std::string file = std::string(kSchema) + ' ' + std::string(kChecksumDigits, '0') + ' ' +
                     std::to_string(text.size()) + '\n' + text;
  for (const auto& [name, bytes] : sections) file += bytes;
  info.id = model_checksum(file);
  file.replace(kChecksumAt, kChecksumDigits, info.id);
  return file;
}

Result<ModelContent> read_model(const std::shared_ptr<const std::string>& bytes,
                                const std::string& what) {
  return bytes->starts_with(kSchemaFamily) ? read_sections(bytes, what) : read_former(bytes, what);
}

}  // namespace convopt
