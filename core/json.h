// JSON forms of the value types that stand in files. Field names are stable
// (docs/reference/profile-format.md).
#pragma once

#include <nlohmann/json.hpp>

#include "convopt/error.hpp"
#include "convopt/measurement.hpp"
#include "convopt/model.hpp"

namespace convopt {

using Json = nlohmann::ordered_json;

Json to_json(const Machine& machine);
Json to_json(const Platform& platform);
Json to_json(const PrimitiveInfo& info);
Json to_json(const RunHeader& header);
Json to_json(const Measurement& measurement);

/// Missing optional fields take their defaults; fields of the wrong type or an unknown enumeration
/// value are errors.
Result<Machine> machine_from_json(const Json& json);
Result<Platform> platform_from_json(const Json& json);
Result<PrimitiveInfo> primitive_info_from_json(const Json& json);
Result<RunHeader> run_header_from_json(const Json& json);
Result<Measurement> measurement_from_json(const Json& json);

/// Parses without exceptions; the error names `what` (a file) and the position.
Result<Json> parse_json(std::string_view text, std::string_view what);

}  // namespace convopt
