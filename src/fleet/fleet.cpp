#include "src/fleet/fleet.h"

#include <unistd.h>

#include <algorithm>
#include <random>
#include <utility>

#include "convopt/primitive.hpp"
#include "core/clock.h"
#include "core/files.h"
#include "core/machine.h"
#include "core/text.h"
#include "core/try.h"

namespace convopt::fleet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFleetSchema = "convopt.fleet/1", kNodeSchema = "convopt.fleet_node/1";

Json network_json(const FleetNetwork& network) {
  Json json = {{"name", network.name},
               {"path", network.path.string()},
               {"hash", network.hash},
               {"batch", network.batch}};
  json["shapes"] = network.shapes;
  json["values"] = network.values;
  return json;
}

FleetNetwork network_from(const Json& json) {
  FleetNetwork network;
  network.name = json.at("name").get<std::string>();
  network.path = json.at("path").get<std::string>();
  network.hash = json.at("hash").get<std::string>();
  network.batch = json.at("batch").get<int>();
  network.shapes = json.at("shapes").get<InputShapes>();
  network.values = json.at("values").get<InputValues>();
  return network;
}

Settings settings_from(const Json& json) {
  Settings settings;
  for (const Json& network : json.at("networks"))
    settings.networks.push_back(network_from(network));
  settings.shards = json.at("shards").get<std::size_t>();
  settings.configs = json.at("configs").get<std::size_t>();
  settings.budget = json.at("budget_seconds").get<double>();
  settings.precision =
      parse_precision(json.at("precision").get<std::string>()).value_or(Precision::f32);
  settings.threads = json.at("threads").get<int>();
  settings.seed = json.at("seed").get<std::uint64_t>();
  settings.model = json.at("model").get<std::string>();
  settings.program = json.at("program").get<std::string>();
  if (json.contains("slurm")) {
    Slurm slurm;
    slurm.partition = json["slurm"].at("partition").get<std::string>();
    slurm.options = json["slurm"].at("options").get<std::vector<std::string>>();
    slurm.describe_seconds = json["slurm"].at("describe_seconds").get<double>();
    settings.slurm = slurm;
  } else {
    settings.hosts = json.at("hosts").get<std::vector<std::string>>();
  }
  return settings;
}

/// A name for files and jobs.
std::string plain_name(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    name += plain ? c : '_';
  }
  if (name.empty() || name.front() == '.') name.insert(name.begin(), '_');
  return name;
}

/// All but where it is measured, which may change while a fleet is at work.
Json what_is_measured(const Settings& settings) {
  Json json = to_json(settings);
  for (const char* name : {"program", "slurm", "hosts"}) json.erase(name);
  return json;
}

Error bad_description(const fs::path& path, const std::string& why) {
  return make_error(ErrorCode::bad_input, path.string() + " is no description of a fleet: " + why);
}

}  // namespace

Json to_json(const Settings& settings) {
  Json json;
  json["networks"] = Json::array();
  for (const FleetNetwork& network : settings.networks)
    json["networks"].push_back(network_json(network));
  json["shards"] = settings.shards;
  json["configs"] = settings.configs;
  json["budget_seconds"] = settings.budget;
  json["precision"] = to_string(settings.precision);
  json["threads"] = settings.threads;
  json["seed"] = settings.seed;
  json["model"] = settings.model.string();
  json["program"] = settings.program.string();
  if (settings.slurm) {
    json["slurm"] = {{"partition", settings.slurm->partition},
                     {"options", settings.slurm->options},
                     {"describe_seconds", settings.slurm->describe_seconds}};
  } else {
    json["hosts"] = settings.hosts;
  }
  return json;
}

std::string text_in(const Json& json, const char* name) {
  const auto member = json.find(name);
  return member != json.end() && member->is_string() ? member->get<std::string>() : "";
}

double number_in(const Json& json, const char* name) {
  const auto member = json.find(name);
  return member != json.end() && member->is_number() ? member->get<double>() : 0;
}

Result<Json> read_object(const fs::path& path, std::string_view schema) {
  CONVOPT_TRY(const std::string text, read_file(path));
  CONVOPT_TRY(Json json, parse_json(text, path.string()));
  if (!json.is_object() || text_in(json, "schema") != schema) {
    return make_error(ErrorCode::bad_input,
                      path.string() + " does not have the schema " + std::string(schema));
  }
  return json;
}

Result<void> write_object(const fs::path& path, const Json& json) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) {
    return make_error(ErrorCode::environment,
                      "cannot create " + path.parent_path().string() + ": " + error.message());
  }
  return write_file_atomically(path,
                               json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

bool is_fleet(const fs::path& folder) {
  std::error_code error;
  return fs::exists(folder / "fleet.json", error);
}

Result<Fleet> load(const fs::path& folder) {
  const fs::path path = folder / "fleet.json";
  if (!is_fleet(folder)) {
    return make_error(ErrorCode::bad_input, in_quotes(folder.string()) +
                                                " is no folder of a fleet, which `convopt fleet "
                                                "plan` makes: it has no fleet.json");
  }
  CONVOPT_TRY(const Json json, read_object(path, kFleetSchema));
  Fleet fleet;
  std::error_code error;
  fleet.folder = fs::canonical(folder, error);
  try {
    fleet.id = json.at("id").get<std::string>();
    fleet.settings = settings_from(json);
  } catch (const Json::exception& exception) {
    return bad_description(path, exception.what());
  }
  if (fleet.settings.shards == 0) return bad_description(path, "it has no tasks");
  return fleet;
}

Result<Fleet> create(const fs::path& folder, const Settings& settings) {
  Json json;
  if (is_fleet(folder)) {
    CONVOPT_TRY(const Fleet fleet, load(folder));
    if (what_is_measured(fleet.settings) != what_is_measured(settings)) {
      return make_error(ErrorCode::usage,
                        in_quotes(folder.string()) +
                            " holds a fleet with other networks or settings: give another folder, "
                            "or no networks to continue that one");
    }
    if (to_json(fleet.settings) == to_json(settings)) return fleet;
    CONVOPT_TRY(json, read_object(folder / "fleet.json", kFleetSchema));
    for (const char* name : {"slurm", "hosts"}) json.erase(name);
    json.update(to_json(settings));
    CONVOPT_CHECK(write_object(folder / "fleet.json", json));
    return load(folder);
  }
  json["schema"] = kFleetSchema;
  std::random_device entropy;
  json["id"] =
      hex16(hash64(utc_now() + std::to_string(entropy()) + std::to_string(entropy()))).substr(0, 8);
  json["created"] = utc_now();
  json.update(to_json(settings));
  CONVOPT_CHECK(write_object(folder / "fleet.json", json));
  for (const char* name : {"nodes", "tasks", "kinds", "logs", "jobs"}) {
    std::error_code error;
    fs::create_directories(folder / name, error);
  }
  return load(folder);
}

Result<Network> load_network(const FleetNetwork& network) {
  CONVOPT_TRY(Network loaded,
              convopt::load_network(network.path, network.batch, network.shapes, network.values));
  if (loaded.hash() == network.hash) return loaded;
  return make_error(ErrorCode::bad_input, network.path.string() +
                                              " is another network than when the fleet was "
                                              "planned");
}

Result<FleetNetwork> describe_network(const fs::path& path, int batch, const InputShapes& shapes,
                                      const InputValues& values) {
  FleetNetwork network;
  std::error_code error;
  network.path = fs::weakly_canonical(fs::absolute(path), error);
  if (error) network.path = path;
  network.name = plain_name(path.stem().string());
  network.batch = batch;
  network.shapes = shapes;
  network.values = values;
  CONVOPT_TRY(const Network loaded, convopt::load_network(path, batch, shapes, values));
  network.hash = loaded.hash();
  return network;
}

Result<Node> describe_this_machine(const std::string& name, int threads, bool whole) {
  Node node;
  node.name = name;
  node.platform.machine = machine_facts();
  node.platform.isa = default_isa();
  node.platform.threads = threads > 0 ? threads
                          : whole     ? std::max(1, node.platform.machine.physical_cores)
                                      : default_threads();
  Context context;
  context.isa = node.platform.isa;
  context.threads = node.platform.threads;
  CONVOPT_TRY(const auto registry, Registry::create(context));
  const Caches& caches = context.caches;
  std::string facts = std::to_string(caches.l1d) + "/" + std::to_string(caches.l2) + "/" +
                      std::to_string(caches.l3);
  for (const auto& [library, build] : registry->libraries()) facts += "|" + library + "=" + build;
  for (const Primitive* primitive : registry->primitives())
    facts += "|" + std::string(primitive->name()) + "@" + primitive->info().revision;
  constexpr std::size_t kDigits = 6;
  node.kind = node.platform.id();
  std::ranges::replace(node.kind, '/', '-');
  node.kind = plain_name(node.kind) + "-" + hex16(hash64(facts)).substr(0, kDigits);
  return node;
}

Result<void> write_node(const Fleet& fleet, const Node& node) {
  Json json;
  json["schema"] = kNodeSchema;
  json["node"] = node.name;
  json["kind"] = node.kind;
  json["platform"] = convopt::to_json(node.platform);
  return write_object(fleet.nodes() / (plain_name(node.name) + ".json"), json);
}

std::map<std::string, std::vector<Node>> nodes_by_kind(const Fleet& fleet,
                                                       std::vector<std::string>* warnings) {
  std::map<std::string, std::vector<Node>> kinds;
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fleet.nodes(), error)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  for (const fs::path& file : files) {
    const auto json = read_object(file, kNodeSchema);
    Error problem;
    if (!json) {
      problem = json.error();
    } else {
      auto platform = platform_from_json(json->value("platform", Json()));
      const std::string kind = text_in(*json, "kind");
      if (platform && !kind.empty() && kind == plain_name(kind)) {
        kinds[kind].push_back({text_in(*json, "node"), kind, std::move(*platform)});
        continue;
      }
      problem = platform ? make_error(ErrorCode::bad_input, file.string() + " names no kind")
                         : platform.error();
    }
    if (warnings != nullptr) {
      warnings->push_back(problem.message +
                          "; it is left out, and `convopt fleet plan` makes it "
                          "anew");
    }
  }
  return kinds;
}

}  // namespace convopt::fleet
