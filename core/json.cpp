#include "core/json.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/json_reader.h"
#include "core/text.h"

namespace convopt {
namespace {

constexpr std::string_view kProfileSchema = "convopt.profile/1";

using Reader = JsonReader;

/// One decimal is a tenth of a nanosecond: more digits are noise and triple the file.
double tenth(double ns) { return std::round(ns * 10) / 10; }

/// Cost structure of a description written before descriptions named it.
std::string_view former_cost(const PrimitiveInfo& info) {
  if (info.op == Op::fully_connected) return "gemm";
  if (info.op != Op::conv) return "pointwise";
  if (info.family == "strassen") return "strassen";
  switch (info.traits.algorithm) {
    case Algorithm::gemm:
      return "im2col";
    case Algorithm::indirect:
    case Algorithm::kn2row:
    case Algorithm::winograd:
    case Algorithm::fft:
    case Algorithm::mec:
      return to_string(info.traits.algorithm);
    case Algorithm::unknown:
    case Algorithm::direct:
    case Algorithm::copy:
      return "direct";
  }
  return "direct";
}

/// Likewise the unit: oneDNN's names say the instructions, none that those of AMX may be among
/// them.
bool former_vector_products(const PrimitiveInfo& info) {
  const auto names = [&](std::string_view part) { return info.name.find(part) != info.name.npos; };
  return (names("_avx512_core_bf16") || names("_vnni")) && !names("_amx");
}

}  // namespace

Json to_json(const Machine& m) {
  Json json = {{"vendor", m.vendor},
               {"name", m.name},
               {"family", m.family},
               {"model", m.model},
               {"stepping", m.stepping},
               {"physical_cores", m.physical_cores},
               {"logical_cores", m.logical_cores},
               {"l1d_bytes", m.l1d_bytes},
               {"l2_bytes", m.l2_bytes},
               {"l3_bytes", m.l3_bytes},
               {"governor", m.governor},
               {"kernel", m.kernel},
               {"peak_gflops", m.peak_gflops},
               {"l1_gbps", m.l1_gbps},
               {"l2_gbps", m.l2_gbps},
               {"l3_gbps", m.l3_gbps},
               {"memory_gbps", m.memory_gbps}};
  if (m.peak_bf16_gflops > 0) json["peak_bf16_gflops"] = m.peak_bf16_gflops;
  if (m.peak_int8_gops > 0) json["peak_int8_gops"] = m.peak_int8_gops;
  if (m.core_round_trip_ns > 0) json["core_round_trip_ns"] = m.core_round_trip_ns;
  return json;
}

Json to_json(const Platform& platform) {
  Json json = {{"id", platform.id()}};
  json.update(to_json(platform.machine));
  json["isa"] = to_string(platform.isa);
  json["threads"] = platform.threads;
  return json;
}

Json to_json(const PrimitiveInfo& info) {
  const Traits& t = info.traits;
  Json json = {{"name", info.name},
               {"family", info.family},
               {"description", info.description},
               {"op", to_string(info.op)},
               {"input_layout", to_string(info.input_layout)},
               {"output_layout", to_string(info.output_layout)}};
  if (info.input_type != DataType::f32) json["input_type"] = to_string(info.input_type);
  if (info.output_type != DataType::f32) json["output_type"] = to_string(info.output_type);
  if (info.plain) json["plain"] = true;
  json["revision"] = info.revision;
  json["traits"] = {{"algorithm", to_string(t.algorithm)},
                    {"cost", t.cost},
                    {"tile_oc", t.tile_oc},
                    {"tile_pixels", t.tile_pixels},
                    {"transform_h", t.transform_h},
                    {"transform_w", t.transform_w},
                    {"output_h", t.output_h},
                    {"output_w", t.output_w},
                    {"block_tiles", t.block_tiles},
                    {"packed_bytes_per_input_byte", t.packed_bytes_per_input_byte},
                    {"error_amplification", t.error_amplification},
                    {"overwrites_residual", t.overwrites_residual},
                    {"strided_views", t.strided_views}};
  if (t.product_type != DataType::f32) {
    json["traits"]["product_type"] = to_string(t.product_type);
    json["traits"]["vector_products"] = t.vector_products;
  }
  if (t.weight_type != DataType::f32) json["traits"]["weight_type"] = to_string(t.weight_type);
  if (t.cheap_exponentials) json["traits"]["cheap_exponentials"] = true;
  return json;
}

Json to_json(const RunHeader& header) {
  Json json = {{"schema", kProfileSchema},
               {"run", header.run},
               {"platform", to_json(header.platform)},
               {"libraries", Json::object()},
               {"timing_mode", to_string(header.timing_mode)},
               {"protocol", header.protocol},
               {"seed", header.seed},
               {"started", header.started},
               {"primitives", Json::array()}};
  for (const auto& [name, version] : header.libraries) json["libraries"][name] = version;
  for (const auto& info : header.primitives) json["primitives"].push_back(to_json(info));
  return json;
}

Json to_json(const Measurement& m) {
  Json json = {{"run", m.run},
               {"workload", m.workload.text()},
               {"primitive", m.primitive},
               {"revision", m.revision},
               {"isa", to_string(m.isa)},
               {"threads", m.threads},
               {"status", to_string(m.status)}};
  if (!m.reason.empty()) json["reason"] = m.reason;
  if (m.status == MeasurementStatus::ok || m.status == MeasurementStatus::censored) {
    Json samples = Json::array();
    for (const double sample : m.samples_ns) samples.push_back(tenth(sample));
    json["samples_ns"] = std::move(samples);
    json["median_ns"] = tenth(m.median_ns);
    json["mad_ns"] = tenth(m.mad_ns);
    json["prepare_ns"] = std::round(m.prepare_ns);
    json["packed_bytes"] = m.packed_bytes;
    json["workspace_bytes"] = m.workspace_bytes;
  }
  if (m.max_relative_error >= 0) json["max_relative_error"] = m.max_relative_error;
  if (m.sentinel > 0) json["sentinel"] = std::round(m.sentinel * 1000) / 1000;
  return json;
}

Result<Machine> machine_from_json(const Json& json) {
  Reader reader(json, "machine description");
  Machine m;
  reader.text("vendor", m.vendor);
  reader.text("name", m.name);
  reader.number("family", m.family);
  reader.number("model", m.model);
  reader.number("stepping", m.stepping);
  reader.number("physical_cores", m.physical_cores);
  reader.number("logical_cores", m.logical_cores);
  reader.number("l1d_bytes", m.l1d_bytes);
  reader.number("l2_bytes", m.l2_bytes);
  reader.number("l3_bytes", m.l3_bytes);
  reader.text("governor", m.governor);
  reader.text("kernel", m.kernel);
  reader.number("peak_gflops", m.peak_gflops);
  reader.number("peak_bf16_gflops", m.peak_bf16_gflops);
  reader.number("peak_int8_gops", m.peak_int8_gops);
  reader.number("l1_gbps", m.l1_gbps);
  reader.number("l2_gbps", m.l2_gbps);
  reader.number("l3_gbps", m.l3_gbps);
  reader.number("memory_gbps", m.memory_gbps);
  reader.number("core_round_trip_ns", m.core_round_trip_ns);
  if (!reader.ok()) return reader.error();
  return m;
}

Result<Platform> platform_from_json(const Json& json) {
  auto machine = machine_from_json(json);
  if (!machine) return machine.error();
  Reader reader(json, "platform");
  Platform platform;
  platform.machine = std::move(*machine);
  reader.name("isa", platform.isa, true);
  reader.number("threads", platform.threads, true);
  if (reader.ok() && platform.threads < 1) reader.fail("has a thread count below 1");
  if (!reader.ok()) return reader.error();
  return platform;
}

Result<PrimitiveInfo> primitive_info_from_json(const Json& json) {
  Reader reader(json, "primitive description");
  PrimitiveInfo info;
  reader.text("name", info.name, true);
  reader.text("family", info.family);
  reader.text("description", info.description);
  reader.name("op", info.op);
  reader.name("input_layout", info.input_layout);
  reader.name("output_layout", info.output_layout);
  reader.name("input_type", info.input_type);
  reader.name("output_type", info.output_type);
  reader.flag("plain", info.plain);
  reader.text("revision", info.revision);
  if (const Json* traits = reader.find("traits", false); traits != nullptr) {
    Reader fields(*traits, "traits of primitive '" + info.name.substr(0, 80) + "'");
    Traits& t = info.traits;
    fields.name("algorithm", t.algorithm);
    fields.name("product_type", t.product_type);
    fields.name("weight_type", t.weight_type);
    fields.flag("vector_products", t.vector_products);
    if (!traits->contains("vector_products")) t.vector_products = former_vector_products(info);
    fields.text("cost", t.cost);
    fields.number("tile_oc", t.tile_oc);
    fields.number("tile_pixels", t.tile_pixels);
    fields.number("transform_h", t.transform_h);
    fields.number("transform_w", t.transform_w);
    fields.number("output_h", t.output_h);
    fields.number("output_w", t.output_w);
    fields.number("block_tiles", t.block_tiles);
    fields.number("packed_bytes_per_input_byte", t.packed_bytes_per_input_byte);
    fields.number("error_amplification", t.error_amplification);
    fields.flag("overwrites_residual", t.overwrites_residual);
    fields.flag("strided_views", t.strided_views);
    fields.flag("cheap_exponentials", t.cheap_exponentials);
    if (!fields.ok()) return fields.error();
  }
  if (!reader.ok()) return reader.error();
  if (info.traits.cost.empty()) info.traits.cost = former_cost(info);
  return info;
}

Result<RunHeader> run_header_from_json(const Json& json) {
  Reader reader(json, "profile header");
  RunHeader header;
  std::string schema;
  reader.text("schema", schema, true);
  if (reader.ok() && schema != kProfileSchema) {
    reader.fail("has schema '" + schema.substr(0, 60) + "', expected '" +
                std::string(kProfileSchema) + "'");
  }
  reader.text("run", header.run, true);
  reader.name("timing_mode", header.timing_mode);
  header.protocol = 1;  // of files from before there was the field
  reader.number("protocol", header.protocol);
  if (reader.ok() && (header.protocol < 1 || header.protocol > kTimingProtocol)) {
    reader.fail("is of timing protocol " + std::to_string(header.protocol) +
                ", which this version does not know");
  }
  reader.number("seed", header.seed);
  reader.text("started", header.started);
  if (const Json* platform = reader.find("platform", true); platform != nullptr) {
    auto parsed = platform_from_json(*platform);
    if (!parsed) return parsed.error();
    header.platform = std::move(*parsed);
  }
  if (const Json* libraries = reader.find("libraries", false);
      libraries != nullptr && libraries->is_object()) {
    for (const auto& [name, version] : libraries->items()) {
      if (version.is_string()) header.libraries[name] = version.get<std::string>();
    }
  }
  if (const Json* primitives = reader.find("primitives", false);
      primitives != nullptr && primitives->is_array()) {
    for (const auto& primitive : *primitives) {
      auto info = primitive_info_from_json(primitive);
      if (!info) return info.error();
      header.primitives.push_back(std::move(*info));
    }
  }
  if (!reader.ok()) return reader.error();
  return header;
}

Result<Measurement> measurement_from_json(const Json& json) {
  Reader reader(json, "measurement");
  Measurement m;
  std::string workload;
  reader.text("run", m.run, true);
  reader.text("workload", workload, true);
  reader.text("primitive", m.primitive, true);
  reader.text("revision", m.revision);
  reader.name("isa", m.isa, true);
  reader.number("threads", m.threads, true);
  reader.name("status", m.status, true);
  reader.text("reason", m.reason);
  reader.number("median_ns", m.median_ns);
  reader.number("mad_ns", m.mad_ns);
  reader.number("prepare_ns", m.prepare_ns);
  reader.number("packed_bytes", m.packed_bytes);
  reader.number("workspace_bytes", m.workspace_bytes);
  reader.number("max_relative_error", m.max_relative_error);
  reader.number("sentinel", m.sentinel);
  if (const Json* samples = reader.find("samples_ns", false); samples != nullptr) {
    if (!samples->is_array()) reader.fail("field 'samples_ns' is not a list");
    for (const auto& sample : *samples) {
      if (!sample.is_number()) {
        reader.fail("field 'samples_ns' holds something that is not a number");
        break;
      }
      m.samples_ns.push_back(sample.get<double>());
    }
  }
  const bool timed = m.status == MeasurementStatus::ok || m.status == MeasurementStatus::censored;
  if (reader.ok() && timed && !(m.median_ns > 0 && std::isfinite(m.median_ns))) {
    reader.fail("has a time that is not positive");
  }
  if (!reader.ok()) return reader.error();
  auto parsed = Workload::parse(workload);
  if (!parsed) return parsed.error();
  m.workload = std::move(*parsed);
  return m;
}

Result<std::vector<std::pair<std::string, std::string_view>>> json_members(std::string_view text,
                                                                           std::string_view what) {
  const auto bad = [&] {
    return make_error(ErrorCode::bad_input, std::string(what) + ": not a JSON object");
  };
  std::size_t at = 0;
  const auto next = [&] {  // the next character that is not white space, or 0
    while (at < text.size() && std::string_view(" \t\r\n").find(text[at]) != text.npos) ++at;
    return at < text.size() ? text[at] : '\0';
  };
  const auto skip_string = [&] {
    for (++at; at < text.size() && text[at] != '"'; ++at) at += text[at] == '\\' ? 1 : 0;
    ++at;
  };
  std::vector<std::pair<std::string, std::string_view>> members;
  if (next() != '{') return bad();
  ++at;
  if (next() == '}') return members;
  for (;;) {
    if (next() != '"') return bad();
    const std::size_t name = at;
    skip_string();
    const auto parsed = parse_json(text.substr(name, at - name), what);
    if (!parsed) return parsed.error();
    if (next() != ':') return bad();
    ++at;
    next();
    const std::size_t value = at;
    for (int depth = 0; at < text.size(); ++at) {
      const char c = text[at];
      if (c == '"') {
        skip_string();
        --at;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (depth == 0 && (c == ',' || c == '}')) {
        break;
      } else if (c == '}' || c == ']') {
        --depth;
      }
    }
    if (at >= text.size()) return bad();
    members.emplace_back(parsed->get<std::string>(), text.substr(value, at - value));
    if (text[at++] == '}') return members;
  }
}

namespace {

bool is_binary(std::string_view text) {
  return !is_utf8(text) || std::ranges::any_of(text, [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r';
  });
}

Error not_text(std::string_view what) {
  return make_error(ErrorCode::bad_input,
                    std::string(what) + ": not valid JSON: it holds binary data, not text");
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view what) {
  // The parser itself recurses, so depth is bounded before it runs.
  constexpr int kDeepest = 64;
  int depth = 0;
  bool quoted = false, escaped = false;
  for (const char c : text) {
    if (escaped) {
      escaped = false;
    } else if (quoted) {
      escaped = c == '\\';
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest) {
        if (is_binary(text)) return not_text(what);
        return make_error(ErrorCode::bad_input, std::string(what) + ": nested deeper than " +
                                                    std::to_string(kDeepest) + " levels");
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    if (is_binary(text)) return not_text(what);
    // "[json.exception.parse_error.101] parse error at line 3, column 7: ...": the part behind the
    // tag.
    std::string message = error.what();
    if (const auto tag = message.find("] "); tag != std::string::npos) message.erase(0, tag + 2);
    for (char& c : message) {
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7E) c = '?';
    }
    constexpr std::size_t kShown = 200;
    return make_error(ErrorCode::bad_input,
                      std::string(what) + ": not valid JSON: " + message.substr(0, kShown));
  }
}

}  // namespace convopt
