#include "profiler/profiler.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/clock.h"
#include "core/files.h"
#include "core/json.h"
#include "core/text.h"
#include "core/try.h"
#include "profiler/machine.h"
#include "profiler/store.h"
#include "profiler/timer.h"
#include "profiler/worker_process.h"

namespace convopt {
namespace {

// How often the parent wakes to look at the child: microseconds of a core, ten times a second.
constexpr int kTickMilliseconds = 100;
// A primitive that does not return within this has hung: the slowest seen needs 10 s for 8 GFLOP.
constexpr double kTimeoutSeconds = 20;
// The child looks at its clock between runs; if it has not finished by then, it is ended. With this
// the budget is kept within ten percent.
constexpr double kGraceShare = 0.03, kLeastGrace = 0.3;
// For steps that belong to no primitive, such as loading libraries.
constexpr double kIdleTimeoutSeconds = 120;

std::string new_run_id() {
  std::random_device entropy;
  std::string text = utc_now() + std::to_string(getpid());
  for (int i = 0; i < 4; ++i) text += std::to_string(entropy());
  return hex16(hash64(text));
}

/// Rough seconds for one primitive: preparing and checking, then the runs of a median. Only shares
/// matter for the progress; a dry run shows the sum.
double expected_seconds(const Workload& workload, const Platform& platform) {
  constexpr double kPrepareAndCheck = 0.006, kRuns = 14, kLongest = 0.4;
  // A typical share of the peak over all primitives, not only the good ones.
  constexpr double kShareOfPeak = 0.3;
  const Amount amount = amount_of(workload);
  const double gflops = std::max(1.0, platform.machine.peak_gflops) * kShareOfPeak;
  const double gbps = std::max(1.0, platform.machine.memory_gbps) / 2;
  const double run = amount.flops / gflops * 1e-9 + amount.bytes / gbps * 1e-9;
  return kPrepareAndCheck + 2 * run + std::min(kLongest, kRuns * run + 1e-3);
}

/// Rough seconds for a workload besides its primitives: drawing its tensors, their reference
/// result, and emptying the caches before every round.
double expected_overhead(const Workload& workload, const Platform& platform, TimingMode mode) {
  constexpr double kRounds = 30, kDrawnBytes = 5e8;
  const double gbps = std::max(1.0, platform.machine.memory_gbps);
  const double flush = mode == TimingMode::cold_weights
                           ? static_cast<double>(flush_bytes(platform.machine, platform.threads))
                           : 0;
  return amount_of(workload).bytes / kDrawnBytes + kRounds * flush / gbps * 1e-9;
}

double wall_seconds() { return 1e-9 * static_cast<double>(monotonic_ns()); }

/// Seconds that the child has been in one step while this process was watching. Both may have been
/// suspended meanwhile, which must not count as hanging.
class Watchdog {
 public:
  double silent(const WorkerProcess::Activity& activity) {
    constexpr double kLongestTick = 1;
    const double now = wall_seconds();
    const bool same_step = activity.seconds >= last_seconds_;
    watched_ = same_step ? watched_ + std::min(now - last_tick_, kLongestTick) : 0;
    last_seconds_ = activity.seconds;
    last_tick_ = now;
    return std::min(activity.seconds, watched_);
  }

 private:
  double watched_ = 0, last_seconds_ = 0, last_tick_ = wall_seconds();
};

/// One call of profile() or estimate_profile().
class ProfilingRun {
 public:
  ProfilingRun(const std::vector<Workload>& workloads, const ProfileOptions& options)
      : options_(options), workloads_(interleaved(workloads)) {
    summary_.workloads_total = workloads_.size();
  }

  /// `keeps_facts`: peak and bandwidths that are not known yet are stored, not only measured.
  Result<void> open(bool keeps_facts) {
    if (options_.context.threads < 1) {
      return make_error(ErrorCode::usage, "the number of threads must be at least 1");
    }
    const auto [isa, threads] = std::pair(options_.context.isa, options_.context.threads);
    const auto stored = stored_platform(isa, threads);
    Messages messages;
    messages.warn = [this](const std::string& sentence) { summary_.warnings.push_back(sentence); };
    CONVOPT_TRY(header_.platform, keeps_facts ? cached_platform(isa, threads, messages)
                                  : stored    ? Result<Platform>(*stored)
                                              : describe_machine(isa, threads));
    header_.timing_mode = options_.timing_mode;
    header_.seed = options_.seed;
    if (times_are_simulated()) {
      summary_.warnings.emplace_back("CONVOPT_TEST_CLOCK is set: these times are simulated");
    }
    CONVOPT_CHECK(start_worker());
    find_remaining();
    opened_seconds_ = elapsed();
    return {};
  }

  Result<ProfileEstimate> estimate() {
    ProfileEstimate result;
    result.already_done = summary_.already_done;
    for (const Task& task : tasks_) {
      const Json request = {{"probe", task.workload->text()}, {"primitives", task.primitives}};
      CONVOPT_TRY(const Json answer, ask(request));
      const auto applicable = answer.value("applicable", std::size_t{0});
      ++result.workloads;
      result.measurements += applicable;
      result.seconds += expected(*task.workload, applicable);
    }
    return result;
  }

  Result<ProfileSummary> run() {
    CONVOPT_TRY(ProfileWriter writer, ProfileWriter::open(options_.output));
    if (!tasks_.empty()) {
      header_.run = new_run_id();
      header_.started = utc_now();
      CONVOPT_CHECK(writer.write(header_));
    }
    for (const Task& task : tasks_)
      expected_total_ += expected(*task.workload, task.primitives.size());
    for (Task& task : tasks_) {
      if (out_of_time()) {
        summary_.budget_exhausted = true;
        break;
      }
      const double share = expected(*task.workload, task.primitives.size());
      CONVOPT_CHECK(measure(task, writer));
      if (summary_.budget_exhausted) break;
      expected_done_ += share;
      ++summary_.workloads_done;
      report(task);
    }
    summary_.seconds = elapsed();
    return summary_;
  }

 private:
  struct Task {
    const Workload* workload;
    std::vector<std::string> primitives;  ///< not measured yet
  };
  /// How one request to the child went.
  enum class Outcome { pending, finished, again };

  double elapsed() const { return budget_seconds() - begin_seconds_; }
  double time_left() const {
    return options_.budget_seconds > 0 ? options_.budget_seconds - elapsed() : 1e9;
  }
  bool out_of_time() const { return time_left() <= 0; }
  bool stopped() const { return options_.stop != nullptr && options_.stop->load(); }
  double grace() const { return std::max(kLeastGrace, kGraceShare * options_.budget_seconds); }
  double timeout() const {
    if (options_.timeout_seconds > 0) return options_.timeout_seconds;
    // With a small budget one hanging primitive must not take all of it again and again.
    return options_.budget_seconds > 0
               ? std::clamp(options_.budget_seconds / 4, 2.0, kTimeoutSeconds)
               : kTimeoutSeconds;
  }
  double expected(const Workload& workload, std::size_t primitives) const {
    if (primitives == 0) return 0;
    return expected_overhead(workload, header_.platform, options_.timing_mode) +
           static_cast<double>(primitives) * expected_seconds(workload, header_.platform);
  }
  std::size_t taken() const {
    return summary_.ok + summary_.censored + summary_.failed + summary_.timeout + summary_.crashed;
  }

  Error interrupted() const {
    return make_error(ErrorCode::interrupted,
                      "interrupted; " + std::to_string(taken()) + " measurements are kept in '" +
                          options_.output.string() + "', the same command resumes");
  }

  Result<void> start_worker() {
    worker_.reset();
    CONVOPT_TRY(worker_, WorkerProcess::start(options_.worker_command));
    const Context& context = options_.context;
    const Json setup = {{"parent", getpid()},
                        {"isa", to_string(context.isa)},
                        {"threads", context.threads},
                        {"workspace_limit", context.workspace_limit},
                        {"timing_mode", to_string(options_.timing_mode)},
                        {"seed", options_.seed},
                        {"target_uncertainty", options_.target_uncertainty},
                        {"race", options_.race},
                        {"sentinel_ns", sentinel_ns_}};
    CONVOPT_TRY(const Json hello, ask(setup));
    if (hello.contains("error")) {
      const Json& error = hello["error"];
      return make_error(
          static_cast<ErrorCode>(error.value("code", static_cast<int>(ErrorCode::internal))),
          error.value("message", "the measuring process gave no reason"));
    }
    sentinel_ns_ = hello.value("sentinel_ns", 0.0);
    return header_.primitives.empty() ? describe_libraries(hello) : Result<void>();
  }

  /// Takes over the child's primitives and libraries.
  Result<void> describe_libraries(const Json& hello) {
    for (const Json& primitive : hello["primitives"]) {
      CONVOPT_TRY(auto info, primitive_info_from_json(primitive));
      header_.primitives.push_back(std::move(info));
    }
    for (const auto& [name, version] : hello["libraries"].items()) {
      header_.libraries[name] = version.get<std::string>();
    }
    if (const std::string build = loaded_build_id("libxgboost.so"); !build.empty()) {
      header_.libraries["xgboost"] = build;
    }
    return {};
  }

  /// One line out, one line back.
  Result<Json> ask(const Json& request) {
    if (!worker_->send(request.dump())) return worker_lost();
    std::string line;
    const double asked = wall_seconds();
    for (;;) {
      if (stopped()) return interrupted();
      switch (worker_->wait(line, kTickMilliseconds)) {
        case WorkerProcess::Event::line:
          return parse_json(line, "answer of the measuring process");
        case WorkerProcess::Event::ended:
          return worker_lost();
        case WorkerProcess::Event::silence:
          if (wall_seconds() - asked > kIdleTimeoutSeconds) {
            return make_error(ErrorCode::environment, "the measuring process does not answer");
          }
      }
    }
  }

  Error worker_lost() {
    return make_error(ErrorCode::environment,
                      "the measuring process ended before it was ready: " + worker_->end().text());
  }

  /// Keys of what the output already holds.
  std::unordered_set<std::string> already_measured() {
    std::unordered_set<std::string> done;
    std::error_code ignored;
    // Devices hold nothing to resume from.
    if (options_.again || !std::filesystem::is_regular_file(options_.output, ignored) ||
        std::filesystem::file_size(options_.output, ignored) == 0) {
      return done;
    }
    // A file without a valid header is empty or was cut off in its first line; anything else has
    // been refused by the writer.
    if (auto known = load_profile(options_.output); known.ok()) {
      summary_.warnings.insert(summary_.warnings.end(), known->warnings.begin(),
                               known->warnings.end());
      for (const Measurement& m : known->profile.measurements) {
        done.insert(measurement_key(*known->profile.header(m.run), m));
      }
    }
    return done;
  }

  void find_remaining() {
    const std::unordered_set<std::string> done = already_measured();
    for (const Workload& workload : workloads_) {
      Task task{&workload, {}};
      const std::string text = workload.text();
      for (const PrimitiveInfo& info : header_.primitives) {
        if (!info.computes(workload) || (options_.filter && !options_.filter(workload, info)))
          continue;
        if (done.contains(measurement_key(header_, text, info.name, info.revision))) {
          ++summary_.already_done;
        } else {
          task.primitives.push_back(info.name);
        }
      }
      if (task.primitives.empty()) {
        ++summary_.workloads_done;
      } else {
        tasks_.push_back(std::move(task));
      }
    }
  }

  /// Measures all of the task's primitives, however often the child has to be started for it.
  Result<void> measure(Task& task, ProfileWriter& writer) {
    int unexplained = 0;
    while (!task.primitives.empty() && !out_of_time()) {
      CONVOPT_TRY(const Outcome outcome, attempt(task, writer, unexplained));
      if (outcome == Outcome::finished) return {};
      if (out_of_time()) break;
      CONVOPT_CHECK(start_worker());
    }
    summary_.budget_exhausted = summary_.budget_exhausted || !task.primitives.empty();
    return {};
  }

  /// One request to the child. `unexplained` counts its ends that no primitive caused.
  Result<Outcome> attempt(Task& task, ProfileWriter& writer, int& unexplained) {
    const std::vector<std::string> asked = task.primitives;
    const Json request = {
        {"workload", task.workload->text()}, {"primitives", asked}, {"seconds", time_left()}};
    // A child that is gone is noticed by the first wait.
    static_cast<void>(worker_->send(request.dump()));
    Watchdog watchdog;
    std::string line;
    for (;;) {
      report(task);
      if (stopped()) return interrupted();
      const WorkerProcess::Event event = worker_->wait(line, kTickMilliseconds);
      if (event == WorkerProcess::Event::line) {
        CONVOPT_TRY(const Outcome outcome, take_line(line, task, writer));
        if (outcome != Outcome::pending) return outcome;
        continue;
      }
      const WorkerProcess::Activity activity = worker_->activity();
      const double silent = watchdog.silent(activity);
      const bool in_primitive =
          activity.primitive >= 0 && static_cast<std::size_t>(activity.primitive) < asked.size();
      const std::string at_fault =
          in_primitive ? asked[static_cast<std::size_t>(activity.primitive)] : std::string();
      if (event == WorkerProcess::Event::ended) {
        const WorkerProcess::End end = worker_->end();
        if (in_primitive && !end.from_outside()) {
          return record_fault(at_fault, activity.step, MeasurementStatus::crashed,
                              "the process ended with " + end.text(), task, writer);
        }
        // As far as can be told no primitive's fault: once more, then give up.
        if (++unexplained < 2) return Outcome::again;
        return make_error(ErrorCode::partial, "the measuring process was ended twice by " +
                                                  end.text() + " at " + task.workload->text() +
                                                  "; " + std::to_string(taken()) +
                                                  " measurements are kept");
      }
      if (time_left() < -grace()) {
        worker_->kill();
        return Outcome::again;  // and measure() sees that the time is over
      }
      if (in_primitive && silent > timeout()) {
        worker_->kill();
        return record_fault(at_fault, activity.step, MeasurementStatus::timeout,
                            "no end after " + significant(timeout(), 3) + " s", task, writer);
      }
      if (!in_primitive && silent > kIdleTimeoutSeconds) {
        return make_error(ErrorCode::partial,
                          "the measuring process does not answer at " + task.workload->text());
      }
    }
  }

  /// Keeps a measurement, or sees that the request is done.
  Result<Outcome> take_line(const std::string& line, Task& task, ProfileWriter& writer) {
    CONVOPT_TRY(const Json json, parse_json(line, "answer of the measuring process"));
    if (json.contains("done")) {
      const auto figure = [&](const char* name) { return json.value(name, std::size_t{0}); };
      summary_.disturbed += figure("disturbed");
      summary_.samples += figure("samples");
      summary_.lost_samples += figure("lost");
      summary_.given_up += figure("given_up");
      sentinel_ns_ = json.value("sentinel_ns", sentinel_ns_);
      // Other primitives without an answer: the time did not suffice.
      if (task.primitives.size() > figure("given_up")) summary_.budget_exhausted = true;
      return Outcome::finished;
    }
    CONVOPT_TRY(Measurement measurement, measurement_from_json(json));
    spend_simulated_time(measurement);
    CONVOPT_CHECK(keep(measurement, task, writer));
    return Outcome::pending;
  }

  /// Keeps what a primitive did to the child instead of a time.
  Result<Outcome> record_fault(const std::string& primitive, Step step, MeasurementStatus status,
                               const std::string& reason, Task& task, ProfileWriter& writer) {
    Measurement m;
    m.workload = *task.workload;
    m.primitive = primitive;
    m.revision = info(primitive).revision;
    m.isa = options_.context.isa;
    m.threads = options_.context.threads;
    m.status = status;
    m.reason = reason + " while " + std::string(to_string(step));
    CONVOPT_CHECK(keep(m, task, writer));
    return Outcome::again;
  }

  Result<void> keep(Measurement& m, Task& task, ProfileWriter& writer) {
    m.run = header_.run;
    CONVOPT_CHECK(writer.write(m));
    std::erase(task.primitives, m.primitive);
    switch (m.status) {
      case MeasurementStatus::ok:
        ++summary_.ok;
        break;
      case MeasurementStatus::censored:
        ++summary_.censored;
        break;
      case MeasurementStatus::inapplicable:
        ++summary_.inapplicable;
        break;
      case MeasurementStatus::failed:
        ++summary_.failed;
        break;
      case MeasurementStatus::timeout:
        ++summary_.timeout;
        break;
      case MeasurementStatus::crashed:
        ++summary_.crashed;
        break;
    }
    return {};
  }

  const PrimitiveInfo& info(const std::string& name) const {
    return *std::ranges::find(header_.primitives, name, &PrimitiveInfo::name);
  }

  void report(const Task& task) {
    if (!options_.progress) return;
    ProfileProgress progress;
    progress.workloads_done = summary_.workloads_done;
    progress.workloads_total = summary_.workloads_total;
    progress.measurements = taken();
    progress.elapsed_seconds = elapsed();
    progress.workload = task.workload->text();
    // What was expected at first, corrected by how the part that is done came out.
    const double pace = expected_done_ > 0 ? (elapsed() - opened_seconds_) / expected_done_ : 1;
    progress.remaining_seconds = (expected_total_ - expected_done_) * pace;
    if (options_.budget_seconds > 0) {
      progress.remaining_seconds =
          std::clamp(progress.remaining_seconds, 0.0, std::max(0.0, time_left()));
    }
    options_.progress(progress);
  }

  const ProfileOptions& options_;
  std::vector<Workload> workloads_;
  double begin_seconds_ = budget_seconds();
  double opened_seconds_ = 0;
  RunHeader header_;
  std::unique_ptr<WorkerProcess> worker_;
  double sentinel_ns_ = 0;
  std::vector<Task> tasks_;
  double expected_total_ = 0, expected_done_ = 0;
  ProfileSummary summary_;
};

}  // namespace

std::vector<Workload> interleaved(const std::vector<Workload>& workloads) {
  // There are so many operations that with one of each first, half a minute had a single
  // convolution.
  std::map<Op, double> count;
  std::unordered_set<std::string> seen;
  std::vector<Workload> distinct;
  for (const Workload& workload : workloads) {
    if (!seen.insert(workload.text()).second) continue;
    distinct.push_back(workload);
    ++count[workload.op];
  }
  std::map<Op, double> index;
  std::vector<std::size_t> convolutions;
  std::vector<std::pair<double, std::size_t>> others;
  for (std::size_t i = 0; i < distinct.size(); ++i) {
    const Op op = distinct[i].op;
    if (op == Op::conv) {
      convolutions.push_back(i);
    } else {
      others.emplace_back(index[op]++ / count[op], i);
    }
  }
  std::ranges::sort(others);
  std::vector<Workload> result;
  result.reserve(distinct.size());
  for (std::size_t turn = 0; result.size() < distinct.size(); ++turn) {
    if (turn < convolutions.size()) result.push_back(std::move(distinct[convolutions[turn]]));
    if (turn < others.size()) result.push_back(std::move(distinct[others[turn].second]));
  }
  return result;
}

std::optional<std::string> busy_warning(const ProfileSummary& summary) {
  // Of some thousand runs on a quiet Ice Lake 0.1 % (one thread) and 0.3 % (two) were lost.
  constexpr double kQuiet = 0.1;
  const double lost = static_cast<double>(summary.lost_samples);
  const double samples = static_cast<double>(summary.samples);
  if (summary.given_up == 0 && lost <= kQuiet * samples) return std::nullopt;
  std::string text =
      "this machine is too busy to measure on: other processes took a processor away during " +
      fixed(100 * lost / std::max(1.0, samples), 0) + " % of the runs, which do not count";
  if (summary.given_up > 0) {
    text += "; " + counted(summary.given_up, "time") +
            " could not be taken, and predictions stay in their place";
  }
  return text;
}

Result<ProfileSummary> profile(const std::vector<Workload>& workloads,
                               const ProfileOptions& options) {
  // An output that cannot be written to is better known before anything is measured.
  CONVOPT_CHECK(ProfileWriter::open(options.output));
  ProfilingRun run(workloads, options);
  CONVOPT_CHECK(run.open(true));
  return run.run();
}

Result<ProfileEstimate> estimate_profile(const std::vector<Workload>& workloads,
                                         const ProfileOptions& options) {
  ProfilingRun run(workloads, options);
  CONVOPT_CHECK(run.open(false));
  return run.estimate();
}

}  // namespace convopt
