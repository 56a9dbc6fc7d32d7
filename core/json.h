// JSON forms of the value types that stand in files. Field names are stable
// (docs/reference/profile-format.md).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

/// Names and values of the object in `text`, values as unparsed text, so that unused ones need not
/// be parsed. Validates no more than is needed to find where values end.
Result<std::vector<std::pair<std::string, std::string_view>>> json_members(std::string_view text,
                                                                           std::string_view what);

/// Parses without exceptions; the error names `what` (a file) and the position.
Result<Json> parse_json(std::string_view text, std::string_view what);

}  // namespace convopt
