#include "src/report/curves.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/files.h"
#include "core/json.h"
#include "core/json_lines.h"
#include "core/json_reader.h"
#include "core/text.h"
#include "core/try.h"

namespace convopt {
namespace {

constexpr std::string_view kCurveSchema = "convopt.transfer_curve/1";

using NamedPoint = std::pair<std::string, ReportCurve::Point>;

Result<NamedPoint> point_from_json(const Json& json, const std::string& what) {
  JsonReader reader(json, what);
  NamedPoint named;
  auto& [method, point] = named;
  reader.text("method", method, true);
  reader.number("shapes", point.shapes, true);
  reader.number("mdrae", point.error, true);
  reader.number("regret_mean", point.regret, true);
  // Of networks, the worst of all is of one network; that of a draw compares with the mean.
  const bool has_draw = reader.find("regret_worst_draw", false) != nullptr;
  reader.number(has_draw ? "regret_worst_draw" : "regret_max", point.worst, true);
  if (reader.ok() && !(point.error >= 0)) reader.fail("has an error below 0");
  // Rounding may leave a mean of ones below 1.
  constexpr double kLeastRegret = 0.999;
  if (reader.ok() && !(point.regret >= kLeastRegret && point.worst >= kLeastRegret))
    reader.fail("has a regret below 1");
  if (!reader.ok()) return reader.error();
  return named;
}

Result<std::string> text_from_json(const Json& json, const std::string& what) {
  if (json.is_string()) return json.get<std::string>();
  return make_error(ErrorCode::bad_input, what + " is not a text");
}

Result<ReportCurve> curve_from_json(const Json& json, const std::string& what) {
  JsonReader reader(json, what);
  ReportCurve curve;
  reader.text("platform", curve.platform, true);
  reader.number("draws", curve.draws);
  reader.number("networks", curve.networks);
  std::vector<NamedPoint> points;
  CONVOPT_CHECK(read_list(reader, "sources", what, curve.sources, text_from_json));
  CONVOPT_CHECK(read_list(reader, "curve", what, points, point_from_json));
  if (reader.ok() && points.empty()) reader.fail("has a curve without points");
  if (!reader.ok()) return reader.error();
  for (const auto& [method, point] : points) {
    const auto known =
        std::ranges::find(curve.methods, method, [](const auto& entry) { return entry.first; });
    if (known == curve.methods.end()) {
      curve.methods.emplace_back(method, std::vector{point});
    } else {
      known->second.push_back(point);
    }
  }
  for (auto& entry : curve.methods)
    std::ranges::stable_sort(entry.second, {}, &ReportCurve::Point::shapes);
  return curve;
}

}  // namespace

Result<ReportCurves> load_curves(const std::filesystem::path& path) {
  CONVOPT_TRY(const std::string text, read_file(path));
  const std::string file = path.string();
  CONVOPT_TRY(const Json document, parse_json(text, file));
  JsonReader reader(document, file);
  std::string schema;
  reader.text("schema", schema, true);
  if (reader.ok() && schema != kCurveSchema) {
    reader.fail("is of the schema " + in_quotes(schema) + ", not " + std::string(kCurveSchema) +
                ", which `convopt evaluate --transfer-curve --json` writes");
  }
  ReportCurves curves;
  curves.file = file;
  if (const Json* floor = reader.find("noise_floor_regret", false);
      floor != nullptr && !floor->is_null()) {
    reader.number("noise_floor_regret", curves.noise_floor.emplace());
  }
  CONVOPT_CHECK(read_list(reader, "platforms", file, curves.platforms, curve_from_json));
  if (curves.platforms.empty()) reader.fail("has no curve");
  if (!reader.ok()) return reader.error();
  return curves;
}

}  // namespace convopt
