// The child of a profiling run. A kernel that it times may crash or hang, so results are sent to
// the parent at once.
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "profiler/affinity.h"
#include "profiler/bench.h"
#include "profiler/profiler.h"
#include "profiler/protocol.h"

namespace convopt {
namespace {

/// A fault on demand, for tests of how the parent copes: `CONVOPT_TEST_FAULT=crash:PRIMITIVE` or
/// `hang:PRIMITIVE` makes the first run of that primitive do so.
class Fault {
 public:
  Fault() {
    const char* wish = std::getenv("CONVOPT_TEST_FAULT");
    if (wish == nullptr) return;
    const std::string_view text = wish;
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return;
    kind_ = text.substr(0, colon);
    primitive_ = text.substr(colon + 1);
  }
  void strike(std::string_view primitive, Step step) const {
    if (step != Step::running || primitive_.empty() || primitive != primitive_) return;
    if (kind_ == "crash") {
      signal(SIGSEGV, SIG_DFL);
      raise(SIGSEGV);
    }
    while (kind_ == "hang") pause();
  }

 private:
  std::string kind_, primitive_;
};

Error not_by_hand() {
  return make_error(ErrorCode::usage,
                    std::string(kWorkerVerb) + " is started by convopt itself, not by hand");
}

Heartbeat* map_heartbeat() {
  struct stat status {};
  if (fstat(kHeartbeatFd, &status) != 0 ||
      status.st_size != static_cast<off_t>(sizeof(Heartbeat))) {
    return nullptr;
  }
  void* const memory =
      mmap(nullptr, sizeof(Heartbeat), PROT_READ | PROT_WRITE, MAP_SHARED, kHeartbeatFd, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<Heartbeat*>(memory);
}

bool reply(const Json& json) {
  return write_line(kChannelFd, json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

class Worker {
 public:
  Worker(const Registry& registry, Heartbeat& heartbeat, const BenchOptions& options,
         std::unique_ptr<Timer> timer)
      : registry_(registry),
        heartbeat_(heartbeat),
        bench_(registry.context(), options, std::move(timer)) {}

  bool greet() {
    Json hello = {{"libraries", Json::object()}, {"primitives", Json::array()}};
    for (const auto& [name, version] : registry_.libraries()) hello["libraries"][name] = version;
    for (const Primitive* primitive : registry_.primitives()) {
      hello["primitives"].push_back(to_json(primitive->info()));
    }
    hello["sentinel_ns"] = bench_.undisturbed_ns();
    return reply(hello);
  }

  /// False if the request makes no sense or the parent is gone.
  bool serve(const Json& request) {
    const bool probe = request.contains("probe");
    auto workload = Workload::parse(request.at(probe ? "probe" : "workload").get<std::string>());
    if (!workload) return false;
    std::vector<const Primitive*> primitives;
    for (const auto& name : request.at("primitives")) {
      const Primitive* primitive = registry_.find(name.get<std::string>());
      if (primitive == nullptr) return false;
      primitives.push_back(primitive);
    }
    const auto watch = [&](const Primitive* primitive, Step step) {
      const auto index = std::ranges::find(primitives, primitive) - primitives.begin();
      heartbeat_.since_ns = monotonic_ns();
      heartbeat_.step = step;
      heartbeat_.primitive = primitive == nullptr ? -1 : static_cast<std::int32_t>(index);
      if (primitive != nullptr) fault_.strike(primitive->name(), step);
    };
    watch(nullptr, Step::idle);
    if (probe) {
      int applicable = 0;
      for (const Primitive* primitive : primitives) {
        watch(primitive, Step::applying);
        if (primitive->applicability(*workload, registry_.context())) ++applicable;
      }
      watch(nullptr, Step::idle);
      return reply({{"applicable", applicable}});
    }
    bool heard = true;
    const Bench::Quality quality =
        bench_.measure(*workload, primitives, request.at("seconds").get<double>(), watch,
                       [&](const Measurement& m) { heard = heard && reply(to_json(m)); });
    return heard && reply({{"done", true},
                           {"samples", quality.samples},
                           {"lost", quality.lost},
                           {"given_up", quality.given_up},
                           {"disturbed", quality.disturbed},
                           {"sentinel_ns", bench_.undisturbed_ns()}});
  }

 private:
  const Registry& registry_;
  Heartbeat& heartbeat_;
  Bench bench_;
  Fault fault_;
};

}  // namespace

Result<void> run_worker() { return run_worker(Registry::create, make_timer); }

Result<void> run_worker(const RegistryFactory& registry_for, const TimerFactory& timer_for) {
  Heartbeat* const heartbeat = map_heartbeat();
  LineReader requests(kChannelFd);
  std::string line;
  const auto receive = [&] {
    while (!requests.next(line)) {
      if (!requests.fill()) return false;
    }
    return true;
  };
  if (heartbeat == nullptr || !receive()) return not_by_hand();

  // A terminal sends Ctrl-C to parent and child; only the parent acts on it.
  signal(SIGINT, SIG_IGN);
  // Libraries may print, and standard output belongs to the parent's results.
  dup2(STDERR_FILENO, STDOUT_FILENO);

  try {
    const Json setup = Json::parse(line);
    // If the parent ends, so does this process: its results would be lost, and its load would
    // disturb other work.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != setup.at("parent").get<int>()) return {};

    Context context;
    context.isa = parse_isa(setup.at("isa").get<std::string>()).value_or(Isa::scalar);
    context.threads = setup.at("threads").get<int>();
    context.workspace_limit = setup.at("workspace_limit").get<std::size_t>();
    auto registry = registry_for(context);
    if (!registry) {
      const Error& error = registry.error();
      reply({{"error", {{"code", static_cast<int>(error.code)}, {"message", error.message}}}});
      return {};
    }
    BenchOptions options;
    options.seed = setup.at("seed").get<std::uint64_t>();
    options.target_uncertainty = setup.at("target_uncertainty").get<double>();
    options.timing_mode = setup.at("timing_mode").get<std::string>() == to_string(TimingMode::warm)
                              ? TimingMode::warm
                              : TimingMode::cold_weights;
    if (setup.at("race").get<bool>()) {
      // A slower primitive may still be chosen for its layout, but not one slower by more.
      constexpr double kRaceFactor = 1.3;
      constexpr int kRaceSamples = 5;
      options.race_factor = kRaceFactor;
      options.min_samples = kRaceSamples;
    }
    bind_threads(context.threads);
    Worker worker(**registry, *heartbeat, options,
                  timer_for(context, options.timing_mode, setup.at("sentinel_ns").get<double>()));
    if (!worker.greet()) return {};
    while (receive()) {
      if (!worker.serve(Json::parse(line))) return not_by_hand();
    }
    return {};
  } catch (const Json::exception&) {
    return not_by_hand();
  }
}

}  // namespace convopt
