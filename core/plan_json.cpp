// The plan file, schema convopt.plan/1 (docs/reference/plan-format.md).
#include <cmath>

#include "convopt/plan.hpp"
#include "convopt/workload.hpp"
#include "core/files.h"
#include "core/json.h"
#include "core/json_lines.h"
#include "core/json_reader.h"
#include "core/quantisation.h"

namespace convopt {
namespace {

constexpr std::string_view kSchema = "convopt.plan/1";

/// Three decimals of a microsecond, six of a millisecond: a nanosecond.
double to_nanoseconds(double value, double unit) { return std::round(value * unit) / unit; }
double us(double value) { return to_nanoseconds(value, 1e3); }
Json ms(double value) { return to_nanoseconds(value, 1e6); }
Json ms_or_null(double value) { return value > 0 ? ms(value) : Json(nullptr); }

/// Writes a type unless it is f32.
void add_type(Json& json, const char* key, DataType type) {
  if (type != DataType::f32) json[key] = to_string(type);
}

Json to_json(const PlanLayer& layer) {
  Json json = {{"name", layer.name},
               {"op", layer.op},
               {"shape", layer.shape},
               {"workload", layer.workload},
               {"primitive", layer.primitive},
               {"family", layer.family},
               {"fused", layer.fused},
               {"input_layout", to_string(layer.input_layout)},
               {"output_layout", to_string(layer.output_layout)},
               {"predicted_us", us(layer.predicted_us)},
               {"low_us", us(layer.low_us)},
               {"high_us", us(layer.high_us)},
               {"source", layer.measured ? "measured" : "predicted"},
               {"extrapolated", layer.extrapolated}};
  add_type(json, "input_type", layer.input_type);
  add_type(json, "output_type", layer.output_type);
  return json;
}

Json to_json(const PlanConversion& conversion) {
  Json json = {{"tensor", conversion.tensor},
               {"source_layout", to_string(conversion.source_layout)},
               {"target_layout", to_string(conversion.target_layout)},
               {"primitive", conversion.primitive},
               {"predicted_us", us(conversion.predicted_us)}};
  add_type(json, "source_type", conversion.source_type);
  add_type(json, "target_type", conversion.target_type);
  return json;
}

Json to_json(const PlanInPlace& in_place) {
  Json json = {{"name", in_place.name}, {"layout", to_string(in_place.layout)}};
  add_type(json, "type", in_place.type);
  return json;
}

Json to_json(const PlanScale& scale) {
  Json json = {{"tensor", scale.tensor}, {"type", to_string(scale.type)}, {"scale", scale.scale}};
  if (scale.zero_point != 0) json["zero_point"] = scale.zero_point;
  return json;
}

Json to_json(const PlanAccuracy& accuracy) {
  Json json = {{"error", accuracy.error},
               {"cosine", accuracy.cosine},
               {"error_bound", accuracy.error_bound},
               {"cosine_bound", accuracy.cosine_bound},
               {"allowed_error", nullptr},
               {"allowed_cosine", nullptr},
               {"samples", accuracy.samples}};
  if (std::isfinite(accuracy.allowed_error)) json["allowed_error"] = accuracy.allowed_error;
  if (accuracy.allowed_cosine > -1) json["allowed_cosine"] = accuracy.allowed_cosine;
  return json;
}

void read_layout(JsonReader& reader, const char* key, Layout& out) { reader.name(key, out, true); }

void read_time(JsonReader& reader, const char* key, double& out, bool required) {
  reader.number(key, out, required);
  if (reader.ok() && !(out >= 0)) reader.fail(std::string("field '") + key + "' is negative");
}

void read_time_or_null(JsonReader& reader, const char* key, double& out) {
  const Json* field = reader.find(key, false);
  if (field != nullptr && !field->is_null()) read_time(reader, key, out, true);
}

void read_number_or_null(JsonReader& reader, const char* key, double& out) {
  const Json* field = reader.find(key, false);
  if (field != nullptr && !field->is_null()) reader.number(key, out);
}

Result<PlanLayer> layer_from_json(const Json& json, const std::string& what) {
  JsonReader reader(json, what);
  PlanLayer layer;
  reader.text("name", layer.name, true);
  reader.text("op", layer.op, true);
  reader.text("shape", layer.shape, true);
  reader.text("workload", layer.workload, true);
  reader.text("primitive", layer.primitive, true);
  reader.text("family", layer.family);
  read_layout(reader, "input_layout", layer.input_layout);
  read_layout(reader, "output_layout", layer.output_layout);
  reader.name("input_type", layer.input_type);
  reader.name("output_type", layer.output_type);
  read_time(reader, "predicted_us", layer.predicted_us, true);
  read_time(reader, "low_us", layer.low_us, false);
  read_time(reader, "high_us", layer.high_us, false);
  std::string source = "predicted";
  reader.text("source", source);
  layer.measured = source == "measured";
  if (reader.ok() && !layer.measured && source != "predicted") {
    reader.fail("field 'source' is neither measured nor predicted");
  }
  reader.flag("extrapolated", layer.extrapolated);
  if (const Json* fused = reader.find("fused", false); fused != nullptr) {
    if (!fused->is_array()) reader.fail("field 'fused' is not a list");
    for (const Json& name : *fused) {
      if (!name.is_string()) {
        reader.fail("field 'fused' holds something that is not a text");
        break;
      }
      layer.fused.push_back(name.get<std::string>());
    }
  }
  if (reader.ok()) {
    const Result<Workload> workload = Workload::parse(layer.workload);
    if (!workload) {
      reader.fail("field 'workload': " + workload.error().message);
    } else if (to_string(workload->op) != layer.op) {
      reader.fail("field 'op' contradicts its workload");
    }
  }
  if (!reader.ok()) return reader.error();
  return layer;
}

Result<PlanConversion> conversion_from_json(const Json& json, const std::string& what) {
  JsonReader reader(json, what);
  PlanConversion conversion;
  reader.text("tensor", conversion.tensor, true);
  read_layout(reader, "source_layout", conversion.source_layout);
  read_layout(reader, "target_layout", conversion.target_layout);
  reader.name("source_type", conversion.source_type);
  reader.name("target_type", conversion.target_type);
  reader.text("primitive", conversion.primitive);
  read_time(reader, "predicted_us", conversion.predicted_us, true);
  if (!reader.ok()) return reader.error();
  return conversion;
}

Result<PlanInPlace> in_place_from_json(const Json& json, const std::string& what) {
  JsonReader reader(json, what);
  PlanInPlace in_place;
  reader.text("name", in_place.name, true);
  read_layout(reader, "layout", in_place.layout);
  reader.name("type", in_place.type);
  if (!reader.ok()) return reader.error();
  return in_place;
}

Result<PlanScale> scale_from_json(const Json& json, const std::string& what) {
  JsonReader reader(json, what);
  PlanScale scale;
  reader.text("tensor", scale.tensor, true);
  reader.name("type", scale.type, true);
  reader.number("scale", scale.scale, true);
  reader.number("zero_point", scale.zero_point);
  if (reader.ok() && !is_quantised(scale.type)) {
    reader.fail("field 'type' is neither u8 nor s8");
  }
  if (reader.ok() && !is_zero_point(static_cast<float>(scale.zero_point), scale.type)) {
    reader.fail("field 'zero_point' is none that the type can have: 0 to 255 for u8, 0 for s8");
  }
  if (reader.ok() && !(scale.scale > 0 && std::isfinite(scale.scale))) {
    reader.fail("field 'scale' is not above zero");
  }
  if (!reader.ok()) return reader.error();
  return scale;
}

}  // namespace

std::string to_json(const Plan& plan) {
  Json layers = Json::array(), conversions = Json::array(), in_place = Json::array();
  for (const PlanLayer& layer : plan.layers) layers.push_back(to_json(layer));
  for (const PlanConversion& c : plan.conversions) conversions.push_back(to_json(c));
  for (const PlanInPlace& p : plan.in_place) in_place.push_back(to_json(p));
  const PlanBaselines& b = plan.baselines;
  Json document = {{"schema", kSchema},
                   {"network", plan.network},
                   {"network_hash", plan.network_hash},
                   {"model", plan.model},
                   {"seed", plan.seed},
                   {"libraries", plan.libraries},
                   {"platform", to_json(plan.platform)},
                   {"predicted_ms", ms(plan.predicted_ms)},
                   {"baselines",
                    {{"library_default_ms", ms_or_null(b.library_default_ms)},
                     {"library", b.library},
                     {"best_single_primitive_ms", ms_or_null(b.best_single_primitive_ms)},
                     {"best_single_primitive", b.best_single_primitive},
                     {"greedy_ms", ms_or_null(b.greedy_ms)}}},
                   {"optimal", plan.optimal},
                   {"gap", plan.gap},
                   {"workspace_bytes", plan.workspace_bytes},
                   {"packed_weight_bytes", plan.packed_weight_bytes},
                   {"timing",
                    {{"load_ms", ms(plan.load_ms)},
                     {"predict_ms", ms(plan.predict_ms)},
                     {"solve_ms", ms(plan.solve_ms)},
                     {"total_ms", ms(plan.total_ms)}}},
                   {"layers", std::move(layers)},
                   {"conversions", std::move(conversions)},
                   {"in_place", std::move(in_place)}};
  if (!plan.scales.empty()) {
    Json scales = Json::array();
    for (const PlanScale& scale : plan.scales) scales.push_back(to_json(scale));
    document["scales"] = std::move(scales);
  }
  if (plan.accuracy) document["accuracy"] = to_json(*plan.accuracy);
  return one_element_per_line(document);
}

Result<Plan> parse_plan(std::string_view text, std::string_view file_name) {
  const Result<Json> document = parse_json(text, file_name);
  if (!document) return document.error();
  const std::string file(file_name);
  JsonReader reader(*document, file + ":");
  std::string schema;
  reader.text("schema", schema, true);
  if (reader.ok() && schema != kSchema) {
    reader.fail("is not a plan of schema " + std::string(kSchema) + " but '" +
                schema.substr(0, 60) + "'");
  }
  Plan plan;
  reader.text("network", plan.network, true);
  reader.text("network_hash", plan.network_hash, true);
  reader.text("model", plan.model);
  reader.number("seed", plan.seed);
  read_time(reader, "predicted_ms", plan.predicted_ms, true);
  reader.flag("optimal", plan.optimal);
  read_time(reader, "gap", plan.gap, false);
  reader.number("workspace_bytes", plan.workspace_bytes);
  reader.number("packed_weight_bytes", plan.packed_weight_bytes);
  if (const Json* libraries = reader.find("libraries", false); libraries != nullptr) {
    if (!libraries->is_object()) reader.fail("field 'libraries' is not an object");
    for (const auto& [name, version] : libraries->items()) {
      if (version.is_string()) plan.libraries[name] = version.get<std::string>();
    }
  }
  if (const Json* platform = reader.find("platform", true); platform != nullptr) {
    Result<Platform> parsed = platform_from_json(*platform);
    if (!parsed) return make_error(parsed.error().code, file + ": " + parsed.error().message);
    plan.platform = std::move(*parsed);
  }
  if (const Json* baselines = reader.find("baselines", false); baselines != nullptr) {
    JsonReader b(*baselines, file + ": baselines");
    read_time_or_null(b, "library_default_ms", plan.baselines.library_default_ms);
    b.text("library", plan.baselines.library);
    // Plans of earlier versions know one library only.
    if (b.find("onednn_default_ms", false) != nullptr) {
      read_time_or_null(b, "onednn_default_ms", plan.baselines.library_default_ms);
      plan.baselines.library = "onednn";
    }
    read_time_or_null(b, "best_single_primitive_ms", plan.baselines.best_single_primitive_ms);
    b.text("best_single_primitive", plan.baselines.best_single_primitive);
    read_time_or_null(b, "greedy_ms", plan.baselines.greedy_ms);
    if (!b.ok()) return b.error();
  }
  if (const Json* accuracy = reader.find("accuracy", false); accuracy != nullptr) {
    JsonReader a(*accuracy, file + ": accuracy");
    PlanAccuracy measured;
    a.number("error", measured.error, true);
    a.number("cosine", measured.cosine, true);
    measured.error_bound = measured.error;
    measured.cosine_bound = measured.cosine;
    a.number("error_bound", measured.error_bound);
    a.number("cosine_bound", measured.cosine_bound);
    read_number_or_null(a, "allowed_error", measured.allowed_error);
    read_number_or_null(a, "allowed_cosine", measured.allowed_cosine);
    a.number("samples", measured.samples);
    if (!a.ok()) return a.error();
    plan.accuracy = measured;
  }
  if (const Json* timing = reader.find("timing", false); timing != nullptr) {
    JsonReader t(*timing, file + ": timing");
    t.number("load_ms", plan.load_ms);
    t.number("predict_ms", plan.predict_ms);
    t.number("solve_ms", plan.solve_ms);
    t.number("total_ms", plan.total_ms);
    if (!t.ok()) return t.error();
  }
  Result<void> read = read_list(reader, "layers", file, plan.layers, layer_from_json);
  if (read) read = read_list(reader, "conversions", file, plan.conversions, conversion_from_json);
  if (read) read = read_list(reader, "in_place", file, plan.in_place, in_place_from_json, false);
  if (read) read = read_list(reader, "scales", file, plan.scales, scale_from_json, false);
  if (!read) return read.error();
  return plan;
}

Result<Plan> load_plan(const std::filesystem::path& path) {
  const Result<std::string> text = read_file(path);
  if (!text) return text.error();
  return parse_plan(*text, path.string());
}

}  // namespace convopt
