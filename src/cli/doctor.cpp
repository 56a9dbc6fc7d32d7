#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/text.h"
#include "core/try.h"
#include "profiler/machine.h"
#include "profiler/store.h"
#include "profiler/survey.h"
#include "src/cli/cli.h"
#include "src/cli/table.h"
#include "src/tune/model_paths.h"

namespace convopt::cli {
namespace {

namespace fs = std::filesystem;

struct DoctorArguments {
  ContextOptions context;
  fs::path root = "/";
  bool json = false;
};

/// What is not as it should be, and what to do.
struct Advice {
  std::string finding, remedy;
};

/// A file of this machine.
struct FoundFile {
  fs::path path;
  bool exists = false;
  double age_seconds = 0;
  std::uintmax_t bytes = 0;
};

/// Facts of a local profile from its headers alone.
struct ProfileFacts {
  std::size_t runs = 0, runs_here = 0;
  std::string last_started;
  Libraries libraries;  ///< of the last run on this platform
  std::string fault;
};

struct Diagnosis {
  Survey survey;
  Platform platform;  ///< as it is stored, else facts alone
  Libraries libraries;
  FoundFile description, model, profile;
  bool is_shipped = false;
  std::optional<ModelInfo> model_info;
  std::string model_fault;
  ProfileFacts profile_facts;
  std::vector<Advice> warnings, hints;
};

FoundFile look_at(const fs::path& path) {
  FoundFile file{.path = path};
  std::error_code error;
  file.exists = fs::is_regular_file(path, error);
  if (!file.exists) return file;
  file.bytes = fs::file_size(path, error);
  const auto written = fs::last_write_time(path, error);
  if (!error) {
    file.age_seconds =
        std::chrono::duration<double>(fs::file_time_type::clock::now() - written).count();
  }
  return file;
}

/// "5 minutes", "3 days"
std::string age_text(double seconds) {
  constexpr double kMinute = 60, kHour = 3600, kDay = 86400;
  const auto in = [&](double unit, std::string_view noun) {
    return counted(static_cast<std::size_t>(std::max(0.0, seconds) / unit), noun);
  };
  return seconds < kHour  ? in(kMinute, "minute")
         : seconds < kDay ? in(kHour, "hour")
                          : in(kDay, "day");
}

/// Only headers are parsed: they are few, and measurements may be hundreds of thousands.
ProfileFacts read_headers(const fs::path& path, const Platform& platform) {
  ProfileFacts facts;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(R"({"schema":"convopt.profile/)")) continue;
    const auto json = parse_json(line, path.string());
    if (!json) continue;
    const auto header = run_header_from_json(*json);
    if (!header) continue;
    ++facts.runs;
    if (header->platform.id() != platform.id()) continue;
    ++facts.runs_here;
    facts.last_started = header->started;
    facts.libraries = header->libraries;
  }
  if (facts.runs == 0) facts.fault = "it has no header of a run";
  return facts;
}

/// Libraries whose builds are others than those that `before` was measured with.
std::string changed_libraries(const Libraries& before, const Libraries& now) {
  std::string changes;
  for (const auto& [name, version] : before) {
    const auto found = now.find(name);
    if (found == now.end() || found->second == version) continue;
    changes += (changes.empty() ? "" : ", ") + name + " " + version + " > " + found->second;
  }
  return changes;
}

void diagnose_machine(const Survey& s, int threads, Diagnosis& diagnosis) {
  const auto warn = [&](std::string finding, std::string remedy) {
    diagnosis.warnings.push_back({std::move(finding), std::move(remedy)});
  };
  const auto hint = [&](std::string finding, std::string remedy) {
    diagnosis.hints.push_back({std::move(finding), std::move(remedy)});
  };
  if (s.quota && s.allowed && *s.quota < *s.allowed) {
    const auto whole = static_cast<int>(std::max(1.0, std::floor(*s.quota)));
    warn("the cgroup quota is " + significant(*s.quota, 3) + " processors, fewer than the " +
             std::to_string(*s.allowed) + " that this process may run on",
         "plan and run with --threads " + std::to_string(whole) +
             " at most: more are stopped in the middle of a layer");
  }
  if (s.allowed_cores && threads > *s.allowed_cores) {
    warn(counted(static_cast<std::size_t>(threads), "thread") + " on " +
             counted(static_cast<std::size_t>(*s.allowed_cores), "core"),
         "two threads of a core share its arithmetic: try --threads " +
             std::to_string(*s.allowed_cores));
  }
  const double processors = s.allowed ? *s.allowed : 1;
  if (s.load && *s.load > 0.25 * processors) {
    warn("the machine is busy: " + fixed(*s.load, 2) + " processes ran in the last minute, for " +
             fixed(processors, 0) + " processors",
         "profile and transfer when it is idle; what is measured now is too long");
  }
  constexpr double kMuchSteal = 0.01;
  if (s.steal && *s.steal > kMuchSteal) {
    warn("the hypervisor has kept " + fixed(100 * *s.steal, 1) + " % of the time for others",
         "measure at a quieter hour, or on a machine whose processors are not shared");
  }
  if (!s.governor.empty() && s.governor != "performance") {
    warn("the clock follows the governor '" + s.governor + "', so it changes while times are taken",
         "cpupower frequency-set -g performance, as root, while profiling");
  }
  if (s.throttled && *s.throttled > 0) {
    warn("the first core was slowed down " +
             counted(static_cast<std::size_t>(*s.throttled), "time") + " because it was too hot",
         "look at the cooling; times under load will be longer than those of a profile");
  }
  if (s.turbo && *s.turbo) {
    hint("the clock is raised while few cores work",
         "profile with the number of threads, and the neighbours, that the network will have");
  }
  if (!s.hypervisor.empty() && s.hypervisor != "none") {
    hint("this is a virtual machine" + (s.hypervisor == "yes" ? "" : " (" + s.hypervisor + ")"),
         "neighbours and migration change times: run convopt check before important plans");
  }
}

/// Implausible rates were measured while other work ran, or by an older version.
void diagnose_description(const Platform& stored, const fs::path& path, Diagnosis& diagnosis) {
  // On some virtual machines a cache is no faster than the next level.
  constexpr double kNoise = 0.9;
  const Machine& m = stored.machine;
  std::string odd;
  const auto note = [&](const std::string& what) { odd += (odd.empty() ? "" : "; ") + what; };
  const auto falls = [](double inner, double outer) {
    return inner > 0 && outer > 0 && inner < kNoise * outer;
  };
  if (falls(m.l1_gbps, m.l2_gbps)) note("L1 is slower than L2");
  if (falls(m.l2_gbps, m.l3_gbps)) note("L2 is slower than L3");
  if (falls(m.l3_gbps, m.memory_gbps)) note("L3 is slower than memory");
  if (falls(m.peak_int8_gops, m.peak_gflops)) note("the peak of int8 is below that of f32");
  if (falls(m.peak_bf16_gflops, m.peak_gflops)) note("the peak of bf16 is below that of f32");
  if (odd.empty()) return;
  diagnosis.warnings.push_back(
      {"the machine's stored rates cannot be right: " + odd,
       "delete " + path.string() +
           " while the machine is idle; the next plan measures them again"});
}

void diagnose_files(Diagnosis& d) {
  const auto warn = [&](std::string finding, std::string remedy) {
    d.warnings.push_back({std::move(finding), std::move(remedy)});
  };
  const auto hint = [&](std::string finding, std::string remedy) {
    d.hints.push_back({std::move(finding), std::move(remedy)});
  };
  const bool has_description = d.platform.machine.peak_gflops > 0;
  if (!has_description) {
    hint("peak and bandwidths of this machine are not known yet",
         "the first convopt select measures them, in about a second; let it be an idle one");
  } else {
    diagnose_description(d.platform, d.description.path, d);
  }
  if (!d.model_fault.empty()) {
    warn("the model cannot be used: " + d.model_fault,
         d.is_shipped ? "install convopt's data again, or name a model by --model"
                      : "convopt transfer makes it anew");
  }
  if (d.model_info && d.is_shipped) {
    const auto& known = d.model_info->platforms;
    const bool knows = std::ranges::find(known, d.platform.id()) != known.end();
    if (!knows) {
      hint("the shipped model has never seen this platform, " + d.platform.id(),
           "convopt transfer --budget 30s adapts it to this machine");
    }
  }
  if (d.model_info && !d.is_shipped) {
    if (const auto changes = changed_libraries(d.model_info->libraries, d.libraries);
        !changes.empty())
      warn("libraries have changed since the model was made: " + changes,
           "convopt transfer makes it anew");
  }
  if (!d.profile.exists) {
    hint("there is no profile of this platform",
         "convopt select NET --refine 5s measures the primitives that a plan depends on, convopt "
         "profile --network NET all primitives of a network");
    return;
  }
  if (!d.profile_facts.fault.empty()) {
    warn("the profile cannot be used: " + d.profile_facts.fault,
         "move " + d.profile.path.string() + " away; convopt profile begins a new one");
  } else if (d.profile_facts.runs_here == 0) {
    warn("the profile holds no run on this platform, " + d.platform.id(),
         "move " + d.profile.path.string() + " away; convopt profile begins a new one");
  } else if (const auto changes = changed_libraries(d.profile_facts.libraries, d.libraries);
             !changes.empty()) {
    warn("libraries have changed since the profile was taken, so their times do not count: " +
             changes,
         "convopt check says what moved, convopt profile --again measures it");
  }
  constexpr double kOld = 90 * 86400.0;
  if (d.profile.age_seconds > kOld)
    hint("the profile is " + age_text(d.profile.age_seconds) + " old",
         "convopt check says within seconds whether it still holds");
}

Result<Diagnosis> diagnose(const DoctorArguments& request) {
  CONVOPT_TRY(const Context context, request.context.context());
  Diagnosis d;
  d.survey = survey(request.root);
  CONVOPT_TRY(const auto registry, Registry::create(context));
  d.libraries = registry->libraries();
  const auto stored = stored_platform(context.isa, context.threads);
  d.platform = stored ? *stored : Platform{machine_facts(), context.isa, context.threads};
  d.description = look_at(stored_platform_path(d.platform));
  d.model = look_at(local_model_path(d.platform));
  d.is_shipped = !d.model.exists;
  if (d.is_shipped) d.model = look_at(default_model_path());
  if (const auto model = load_model(d.model.path)) {
    d.model_info = (*model)->info();
  } else {
    d.model_fault = model.error().message;
  }
  d.profile = look_at(local_profile_path(d.platform));
  if (d.profile.exists) d.profile_facts = read_headers(d.profile.path, d.platform);
  diagnose_machine(d.survey, context.threads, d);
  diagnose_files(d);
  return d;
}

constexpr const char* kUnknown = "unknown";

std::string text_or_unknown(const std::string& text) { return text.empty() ? kUnknown : text; }

template <class T, class Text>
std::string known(const std::optional<T>& value, Text text) {
  return value ? text(*value) : kUnknown;
}

std::string number_or_unknown(const std::optional<int>& value) {
  return known(value, [](int number) { return std::to_string(number); });
}

std::string bytes_or_unknown(const std::optional<std::int64_t>& value) {
  return known(value, [](std::int64_t bytes) { return format_bytes(static_cast<double>(bytes)); });
}

std::string words(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& word : list) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string rate(double value, const std::string& unit) {
  return value > 0 ? fixed(value, value < 10 ? 1 : 0) + " " + unit : kUnknown;
}

std::string file_text(const FoundFile& file) {
  return file.path.string() + (file.exists ? ", " + format_bytes(static_cast<double>(file.bytes)) +
                                                 ", " + age_text(file.age_seconds) + " old"
                                           : ", not there");
}

std::string machine_text(const Survey& s) {
  Table table({{"machine"}, {""}});
  table.add_row({"processor", text_or_unknown(s.name)});
  table.add_row({"vendor, family, model, stepping",
                 text_or_unknown(s.vendor) + ", " + number_or_unknown(s.family) + ", " +
                     number_or_unknown(s.model) + ", " + number_or_unknown(s.stepping)});
  table.add_row(
      {"microcode, kernel", text_or_unknown(s.microcode) + ", " + text_or_unknown(s.kernel)});
  table.add_row({"instructions", text_or_unknown(words(s.features))});
  table.add_row(
      {"caches", "L1 " + bytes_or_unknown(s.l1d_bytes) + ", L2 " + bytes_or_unknown(s.l2_bytes) +
                     ", L3 " + bytes_or_unknown(s.l3_bytes) +
                     (s.l3_sharers ? " for " + counted(static_cast<std::size_t>(*s.l3_sharers),
                                                       "hardware thread")
                                   : "")});
  table.add_row({"memory", bytes_or_unknown(s.memory_bytes) + ", available " +
                               bytes_or_unknown(s.available_bytes)});
  table.add_row({"hardware threads", number_or_unknown(s.online) + ", this process may use " +
                                         number_or_unknown(s.allowed) + " on " +
                                         known(s.allowed_cores, [](int cores) {
                                           return counted(static_cast<std::size_t>(cores), "core");
                                         })});
  table.add_row({"cgroup quota", s.quota         ? significant(*s.quota, 3) + " processors"
                                 : s.quota_known ? "none"
                                                 : kUnknown});
  const auto yes_or_no = [](bool value) { return std::string(value ? "yes" : "no"); };
  table.add_row({"several threads per core", known(s.smt, yes_or_no)});
  table.add_row(
      {"governor, driver", text_or_unknown(s.governor) + ", " + text_or_unknown(s.driver)});
  table.add_row({"turbo", known(s.turbo, yes_or_no)});
  table.add_row({"hypervisor", text_or_unknown(s.hypervisor)});
  table.add_row({"load", known(s.load, [](double load) { return fixed(load, 2); })});
  table.add_row({"time kept by the hypervisor",
                 known(s.steal, [](double share) { return fixed(100 * share, 2) + " %"; })});
  return table.text();
}

std::string convopt_text(const Diagnosis& d) {
  Table table({{"convopt"}, {""}});
  table.add_row({"version", CONVOPT_VERSION});
  for (const auto& [name, version] : d.libraries) table.add_row({name, version});
  table.add_row({"levels of this CPU", [] {
                   std::string levels;
                   for (const Isa isa : supported_isas())
                     levels += (levels.empty() ? "" : ", ") + std::string(to_string(isa));
                   return levels;
                 }()});
  table.add_row({"platform", d.platform.id()});
  table.add_row({"rates", file_text(d.description)});
  const Machine& m = d.platform.machine;
  if (m.peak_gflops > 0) {
    std::string peaks = "peak " + rate(m.peak_gflops, "Gflop/s");
    if (m.peak_int8_gops > 0) peaks += ", int8 " + rate(m.peak_int8_gops, "Gop/s");
    if (m.peak_bf16_gflops > 0) peaks += ", bf16 " + rate(m.peak_bf16_gflops, "Gflop/s");
    table.add_row({"", peaks});
    table.add_row({"", "L1 " + rate(m.l1_gbps, "GB/s") + ", L2 " + rate(m.l2_gbps, "GB/s") +
                           ", L3 " + rate(m.l3_gbps, "GB/s") + ", memory " +
                           rate(m.memory_gbps, "GB/s")});
    if (m.core_round_trip_ns > 0) {
      table.add_row({"", "from core to core and back " + rate(m.core_round_trip_ns, "ns")});
    }
  }
  table.add_row({"model", file_text(d.model) + (d.is_shipped ? " (shipped)" : "")});
  if (d.model_info) {
    table.add_row({"", d.model_info->id + ", " + counted(d.model_info->samples, "time") + " on " +
                           counted(d.model_info->platforms.size(), "platform") + ", median error " +
                           fixed(100 * d.model_info->holdout_mdrae, 1) + " %"});
  }
  table.add_row({"profile", file_text(d.profile)});
  if (d.profile.exists) {
    table.add_row({"", std::to_string(d.profile_facts.runs_here) + " of " +
                           counted(d.profile_facts.runs, "run") + " on this platform, the last " +
                           text_or_unknown(d.profile_facts.last_started)});
  }
  return table.text();
}

std::string text_of(const Diagnosis& d) {
  std::string text = machine_text(d.survey) + "\n" + convopt_text(d) + "\n";
  for (const Advice& advice : d.warnings)
    text += "warning: " + advice.finding + "\n         " + advice.remedy + "\n";
  for (const Advice& advice : d.hints)
    text += "hint: " + advice.finding + "\n      " + advice.remedy + "\n";
  if (d.warnings.empty()) text += "nothing is wrong\n";
  return text;
}

template <class T>
Json json_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json json_of(const FoundFile& file) {
  Json json = {{"path", file.path.string()}, {"exists", file.exists}};
  if (file.exists) {
    json["bytes"] = file.bytes;
    json["age_seconds"] = std::round(file.age_seconds);
  }
  return json;
}

Json json_of(const std::vector<Advice>& advices) {
  Json json = Json::array();
  for (const Advice& advice : advices)
    json.push_back({{"finding", advice.finding}, {"remedy", advice.remedy}});
  return json;
}

Json json_of(const Survey& s) {
  return {{"vendor", json_or_null(s.vendor)},
          {"name", json_or_null(s.name)},
          {"family", json_or_null(s.family)},
          {"model", json_or_null(s.model)},
          {"stepping", json_or_null(s.stepping)},
          {"microcode", json_or_null(s.microcode)},
          {"kernel", json_or_null(s.kernel)},
          {"features", s.features},
          {"l1d_bytes", json_or_null(s.l1d_bytes)},
          {"l2_bytes", json_or_null(s.l2_bytes)},
          {"l3_bytes", json_or_null(s.l3_bytes)},
          {"l3_sharers", json_or_null(s.l3_sharers)},
          {"online", json_or_null(s.online)},
          {"allowed", json_or_null(s.allowed)},
          {"allowed_cores", json_or_null(s.allowed_cores)},
          {"smt", json_or_null(s.smt)},
          {"quota", json_or_null(s.quota)},
          {"governor", json_or_null(s.governor)},
          {"driver", json_or_null(s.driver)},
          {"turbo", json_or_null(s.turbo)},
          {"hypervisor", json_or_null(s.hypervisor)},
          {"load", json_or_null(s.load)},
          {"steal", json_or_null(s.steal)},
          {"throttled", json_or_null(s.throttled)},
          {"memory_bytes", json_or_null(s.memory_bytes)},
          {"available_bytes", json_or_null(s.available_bytes)}};
}

Json json_of(const Diagnosis& d) {
  Json model = json_of(d.model);
  model["shipped"] = d.is_shipped;
  if (d.model_info) {
    model["id"] = d.model_info->id;
    model["samples"] = d.model_info->samples;
    model["platforms"] = d.model_info->platforms;
    model["holdout_mdrae"] = d.model_info->holdout_mdrae;
  }
  Json profile = json_of(d.profile);
  if (d.profile.exists) {
    profile["runs"] = d.profile_facts.runs;
    profile["runs_here"] = d.profile_facts.runs_here;
    profile["last_started"] = json_or_null(d.profile_facts.last_started);
  }
  return {{"schema", "convopt.doctor/1"},    {"version", CONVOPT_VERSION},
          {"machine", json_of(d.survey)},    {"platform", to_json(d.platform)},
          {"libraries", d.libraries},        {"description", json_of(d.description)},
          {"model", std::move(model)},       {"profile", std::move(profile)},
          {"warnings", json_of(d.warnings)}, {"hints", json_of(d.hints)}};
}

Result<void> doctor_action(const DoctorArguments& request) {
  CONVOPT_TRY(const Diagnosis diagnosis, diagnose(request));
  return write_output(
      "", request.json
              ? json_of(diagnosis).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
              : text_of(diagnosis));
}

}  // namespace

void add_doctor(CLI::App& app, Action& action) {
  auto request = std::make_shared<DoctorArguments>();
  CLI::App* verb = app.add_subcommand(
      "doctor",
      "Says what convopt sees of this machine, which model and profile it would use, "
      "and what would make plans better.");
  request->context.add_to(*verb);
  verb->add_flag("--json", request->json, "Prints one JSON document, schema convopt.doctor/1.");
  // For tests: the folder that holds proc and sys.
  verb->add_option("--root", request->root)->group("");
  verb->callback([&action, request] { action = [request] { return doctor_action(*request); }; });
}

}  // namespace convopt::cli
