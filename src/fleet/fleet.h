// A fleet: networks that are to be planned for several kinds of machines, and the folder in which
// all that is known of it lies. Many machines use that folder at once, over a shared file system:
// no file has more than one writer, none is locked, and what is not appended to is replaced by a
// rename.
//
//   fleet.json                     the description
//   nodes/NODE.json                a machine and its kind
//   tasks/KIND/SHARD/ATTEMPT.jsonl times of one attempt at one part of a kind's workloads
//   tasks/KIND/SHARD/ATTEMPT.json  how it stands
//   tasks/KIND/SHARD/done.json     the part is finished
//   kinds/KIND/                    profile, model, plans and planned.json of a kind
//   logs/, jobs/                   what jobs printed, and their scripts
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/platform.hpp"
#include "convopt/precision.hpp"
#include "core/json.h"

namespace convopt::fleet {

struct FleetNetwork {
  std::string name;  ///< of its files in the results; no two are alike
  std::filesystem::path path;
  std::string hash;  ///< a file that changed is refused
  int batch = 0;     ///< 0: the file's own
  InputShapes shapes;
  InputValues values;
};

struct Slurm {
  std::string partition;             ///< empty: the default one
  std::vector<std::string> options;  ///< of sbatch, for every job
  double describe_seconds = 600;     ///< how long to wait for nodes that are busy
};

struct Settings {
  std::vector<FleetNetwork> networks;
  std::size_t shards = 4;   ///< tasks per kind
  std::size_t configs = 0;  ///< sampled workloads besides those of the networks
  double budget = 0;        ///< seconds of an attempt; 0: no limit
  Precision precision = Precision::f32;
  int threads = 0;  ///< 0: the physical cores of a machine
  std::uint64_t seed = 1;
  std::filesystem::path model;     ///< that is adapted; empty: the shipped one
  std::filesystem::path program;   ///< this program, as the machines find it
  std::optional<Slurm> slurm;      ///< nothing: `hosts`
  std::vector<std::string> hosts;  ///< reached by ssh; empty: this machine
};

struct Fleet {
  std::filesystem::path folder;
  std::string id;
  Settings settings;

  std::filesystem::path nodes() const { return folder / "nodes"; }
  std::filesystem::path task(const std::string& kind, std::size_t shard) const {
    return folder / "tasks" / kind / std::to_string(shard);
  }
  std::filesystem::path kind(const std::string& name) const { return folder / "kinds" / name; }
};

/// What a machine is. Machines of one kind are alike in everything that a time or an applicability
/// depends on: processor, level, threads, caches, libraries and primitives.
struct Node {
  std::string name, kind;
  Platform platform;
};

Json to_json(const Settings& settings);

/// Makes the folder, or finds it as it was left; a folder in which something else is measured is
/// refused. Where it is measured may be another place than before.
Result<Fleet> create(const std::filesystem::path& folder, const Settings& settings);
Result<Fleet> load(const std::filesystem::path& folder);
/// Whether the folder has a description.
bool is_fleet(const std::filesystem::path& folder);

/// The network, if its file is still the one that was given.
Result<Network> load_network(const FleetNetwork& network);
/// Its file, read and remembered. Names are made of file names.
Result<FleetNetwork> describe_network(const std::filesystem::path& path, int batch,
                                      const InputShapes& shapes, const InputValues& values);

/// This machine. `whole`: with all of its cores, though this process may not use all.
Result<Node> describe_this_machine(const std::string& name, int threads, bool whole);
Result<void> write_node(const Fleet& fleet, const Node& node);
/// By kind. Files that cannot be read are named in `warnings`.
std::map<std::string, std::vector<Node>> nodes_by_kind(const Fleet& fleet,
                                                       std::vector<std::string>* warnings);

/// Reads a JSON object; a file that is cut off or of another schema is an error.
Result<Json> read_object(const std::filesystem::path& path, std::string_view schema);
/// A member of an object; without it, or with one of another type, "" or 0.
std::string text_in(const Json& json, const char* name);
double number_in(const Json& json, const char* name);
/// Makes the file's folders and replaces it by a rename.
Result<void> write_object(const std::filesystem::path& path, const Json& json);

}  // namespace convopt::fleet
