#include "convopt/planning.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <utility>

#include "core/names.h"
#include "core/text.h"
#include "core/try.h"
#include "profiler/machine.h"
#include "src/library/context.h"
#include "src/library/planning.h"
#include "src/library/samples.h"
#include "src/session/guard.h"

namespace convopt {
namespace {

constexpr std::array<std::string_view, 4> kPrecisions = {"f32", "bf16", "int8", "auto"};

/// The input that a name is for; a single input needs none.
Result<std::size_t> find_input(const std::string& name, const std::vector<Tensor>& inputs) {
  const auto found = std::ranges::find(inputs, name, &Tensor::name);
  if (found != inputs.end()) return static_cast<std::size_t>(found - inputs.begin());
  if (name.empty() && inputs.size() == 1) return std::size_t{0};
  std::vector<std::string> names;
  for (const Tensor& input : inputs) names.push_back(input.name);
  return make_error(ErrorCode::usage,
                    "the network has no input " + in_quotes(name) + ", only " + listed(names));
}

MakeSamples samples_of(const InputSamples& given) {
  return [given](const Network& network) -> Result<std::vector<Buffers>> {
    const std::vector<Tensor> inputs = network.named_inputs();
    std::vector<SamplesOfInput> samples;
    for (const auto& [name, array] : given) {
      CONVOPT_TRY(const std::size_t input, find_input(name, inputs));
      samples.push_back({input, "the array for " + in_quotes(inputs[input].name), array});
    }
    return samples_from(samples, "the calibration", network);
  };
}

Result<PlanningRequest> request_of(const PlanOptions& options) {
  PlanningRequest request;
  CONVOPT_CHECK(check_seconds("--time-limit", options.time_limit));
  CONVOPT_CHECK(check_seconds("--refine", options.refine));
  CONVOPT_CHECK(check_seconds("--confirm", options.confirm));
  if (!(options.max_error >= 0 && std::isfinite(options.max_error))) {
    return make_error(ErrorCode::usage, "--max-error " + significant(options.max_error, 6) +
                                            " is not a number above zero");
  }
  CONVOPT_TRY(request.context, checked_context(options.isa, options.threads));
  request.model = options.model;
  request.profile = options.profile;
  request.may_begin_profile = options.refine > 0;
  request.rates = options.rates;
  request.select.limits.allow = options.allow;
  request.select.limits.exclude = options.exclude;
  request.select.limits.max_workspace = options.max_workspace;
  request.select.limits.max_error = options.max_error;
  request.select.limits.types = types_of(options.precision);
  request.select.time_limit = std::chrono::duration<double>(options.time_limit);
  if (options.calibration) {
    request.calibration = [given = *options.calibration]() -> Result<Calibration> { return given; };
  }
  request.range = options.range;
  if (!options.calibrate.empty()) request.samples = samples_of(options.calibrate);
  request.bind_threads = options.bind_threads;
  request.messages = options.messages;
  request.measure = watched_by(options.watch);
  return request;
}

}  // namespace

std::string_view to_string(Precision precision) {
  return name_in<Precision>(kPrecisions, precision);
}

std::optional<Precision> parse_precision(std::string_view text) {
  return value_named<Precision>(text);
}

std::set<DataType> types_of(Precision precision) {
  std::set<DataType> types = {DataType::f32};
  const bool any = precision == Precision::automatic;
  if (any || precision == Precision::bf16) types.insert(DataType::bf16);
  if (any || precision == Precision::int8) types.insert({DataType::s8, DataType::u8});
  return types;
}

Measure watched_by(const Watch& watch) {
  return [watch](const std::vector<Workload>& workloads, ProfileOptions options) {
    options.stop = watch.stop;
    options.progress = watch.progress;
    options.worker_command = watch.worker_command;
    return profile(workloads, options);
  };
}

Result<void> run_profile_worker() { return run_worker(); }

Result<Platform> measured_platform(Isa isa, int threads, MachineRates rates,
                                   const Messages& messages) {
  return guarded([&]() -> Result<Platform> {
    auto stored = stored_platform(isa, threads);
    if (stored && (rates == MachineRates::stored || is_complete(*stored))) return *stored;
    if (rates == MachineRates::stored) {
      return make_error(
          ErrorCode::environment,
          "this machine's peak and bandwidths are not known, which predictions need: let them be "
          "measured, or call `convopt select` once");
    }
    static std::mutex mutex;
    static std::map<std::pair<Isa, int>, Platform> measured;
    const std::scoped_lock lock(mutex);
    const auto known = measured.find({isa, threads});
    if (known != measured.end() && rates == MachineRates::measured) return known->second;
    messages.say("measuring this machine's peak and bandwidths, once, for about a second");
    CONVOPT_TRY(Platform platform, rates == MachineRates::kept
                                       ? cached_platform(isa, threads, messages)
                                       : describe_machine(isa, threads));
    measured.insert_or_assign({isa, threads}, platform);
    return platform;
  });
}

Result<Plan> plan_network(const Network& network, const PlanOptions& options) {
  return guarded([&]() -> Result<Plan> {
    CONVOPT_TRY(const PlanningRequest request, request_of(options));
    PlanSteps steps;
    steps.refine = options.refine;
    steps.confirm = options.confirm;
    steps.max_memory = options.max_memory;
    steps.error_budget = {options.max_output_error, options.min_cosine};
    steps.measures_error = !options.calibrate.empty();
    CONVOPT_CHECK(steps.check(request.select.limits.types));
    const auto copy = [&]() -> Result<Network> { return network; };
    CONVOPT_TRY(const auto planning, Planning::load(copy, request));
    CONVOPT_TRY(Selection selection, planning->select(steps));
    return std::move(selection.plan);
  });
}

Result<Calibration> calibrate_network(const Network& network, const InputSamples& samples,
                                      const PlanOptions& options, bool with_sensitivities) {
  return guarded([&]() -> Result<Calibration> {
    CONVOPT_TRY(PlanningRequest request, request_of(options));
    request.select = {};
    if (with_sensitivities) request.select.limits.types = types_of(Precision::automatic);
    request.calibration = {};
    request.samples = samples_of(samples);
    const auto copy = [&]() -> Result<Network> { return network; };
    CONVOPT_TRY(const auto planning, Planning::load(copy, request));
    return planning->calibrate();
  });
}

}  // namespace convopt
