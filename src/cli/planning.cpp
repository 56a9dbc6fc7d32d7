#include "src/cli/planning.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <map>
#include <unordered_set>
#include <utility>

#include "core/text.h"
#include "core/timing_key.h"
#include "core/try.h"
#include "profiler/affinity.h"
#include "profiler/machine.h"
#include "profiler/profiler.h"
#include "profiler/store.h"
#include "profiler/timer.h"
#include "src/cli/calibration.h"
#include "src/cli/interrupt.h"
#include "src/cli/log.h"
#include "src/cli/values.h"
#include "src/runtime/weights.h"
#include "src/select/workloads.h"
#include "src/tune/calibrate.h"
#include "src/tune/confirm.h"
#include "src/tune/memory_budget.h"
#include "src/tune/model_paths.h"

namespace convopt::cli {
namespace {

/// Refuses a second value for one input.
template <class Given>
Result<void> check_new(const std::string& option, const std::string& input, const Given& given) {
  const bool known =
      std::ranges::any_of(given, [&](const auto& pair) { return pair.first == input; });
  if (!known) return {};
  return make_error(ErrorCode::usage, option + " is given twice for " + in_quotes(input));
}

}  // namespace

Result<InputShapes> parse_shapes(const std::vector<std::string>& texts) {
  InputShapes shapes;
  for (const std::string& text : texts) {
    const auto bad =
        make_error(ErrorCode::usage, "--shape '" + text + "' is not like input=1x3x224x224");
    const auto equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0) return bad;
    std::vector<int> sizes;
    for (const auto part : split(std::string_view(text).substr(equals + 1), 'x')) {
      const auto size = parse_number<int>(part);
      if (!size || *size < 1) return bad;
      sizes.push_back(*size);
    }
    CONVOPT_CHECK(check_new("--shape", text.substr(0, equals), shapes));
    shapes.emplace_back(text.substr(0, equals), std::move(sizes));
  }
  return shapes;
}

Result<InputValues> parse_bindings(const std::vector<std::string>& texts) {
  InputValues values;
  for (const std::string& text : texts) {
    const auto bad = make_error(ErrorCode::usage, "--bind '" + text + "' is not like sr=16000");
    const auto equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0) return bad;
    std::vector<double> numbers;
    for (const auto part : split(std::string_view(text).substr(equals + 1), ',')) {
      const auto number = parse_number<double>(part);
      if (!number) return bad;
      numbers.push_back(*number);
    }
    CONVOPT_CHECK(check_new("--bind", text.substr(0, equals), values));
    values.emplace_back(text.substr(0, equals), std::move(numbers));
  }
  return values;
}

Result<Network> named_network(const PlanningOptions& options) {
  CONVOPT_TRY(auto shapes, parse_shapes(options.shapes));
  CONVOPT_TRY(auto values, parse_bindings(options.bindings));
  shapes.insert(shapes.end(), options.more_shapes.begin(), options.more_shapes.end());
  values.insert(values.end(), options.more_values.begin(), options.more_values.end());
  return load_network(options.network, options.batch, shapes, values);
}

void PlanningOptions::add_network_to(CLI::App& verb) {
  verb.add_option("network", network,
                  "The network, an ONNX model or a JSON file (docs/reference/network-format.md).")
      ->required();
  verb.add_option("--model", model,
                  "Performance model. Default: this machine's own, else the shipped one.");
  verb.add_option("--profile", profile,
                  "Times measured on this machine; they count before predictions. Default: this "
                  "machine's own profile, if there is one.");
  add_batch(verb, batch, "Images per batch. Default: the network's own.");
  verb.add_option("--shape", shapes, kShapeHelp)->allow_extra_args(false);
  verb.add_option("--bind", bindings, kBindHelp)->allow_extra_args(false);
  context.add_to(verb);
}

void PlanningOptions::add_to(CLI::App& verb) {
  add_network_to(verb);
  verb.add_option("--allow", select.limits.allow,
                  "Uses only these primitives or families for convolutions, separated by commas.")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb.add_option("--exclude", select.limits.exclude,
                  "Uses none of these primitives or families for convolutions.")
      ->delimiter(',')
      ->allow_extra_args(false);
  add_bytes(verb, "--max-workspace", select.limits.max_workspace,
            "Most scratch memory of an operator, e.g. 64MB.");
  verb.add_option("--max-error", select.limits.max_error,
                  "Largest admissible error of a convolution, relative to its largest result, "
                  "e.g. 1e-5.")
      ->check(positive_number())
      ->type_name("NUMBER");
  precision = add_precision(
      verb, select.limits.types,
      "Types in which tensors are stored and products computed: f32; bf16 or int8, which is f32 "
      "or that, whatever makes the network faster; auto, any of these.");
  verb.add_option("--calibration", calibration,
                  "Ranges of the network's tensors, which int8 needs, as `convopt calibrate` "
                  "writes them.");
  static const std::map<std::string, RangeRule> kRules = {
      {"max", RangeRule::max}, {"percentile", RangeRule::percentile}, {"mse", RangeRule::mse}};
  verb.add_option_function<std::string>(
          "--range", [this](const std::string& name) { range = kRules.at(name); },
          "What of a tensor's range int8 represents: all of it (max), 99.99 % of its "
          "numbers (percentile), or as much as errs least (mse).")
      ->check(CLI::IsMember({"max", "percentile", "mse"}))
      ->type_name("TEXT")
      ->default_str("max");
  add_duration(verb, "--time-limit", time_limit,
               "Time for proving that no plan is better, e.g. 500ms.", /*may_be_zero=*/true);
}

void PlanningOptions::add_calibrate_to(CLI::App& verb, const std::string& help) {
  verb.add_option("--calibrate", calibrate, help);
}

namespace {

/// Whether int8 may be used, with what is given for it; a model that has scales of its own needs
/// nothing.
Result<void> check_calibration(const PlanningOptions& options, bool has_scales,
                               std::set<DataType>& types) {
  if (!types.contains(DataType::s8)) {
    if (options.calibration.empty()) return {};
    return make_error(ErrorCode::usage,
                      "--calibration has no effect without --precision int8 or auto");
  }
  if (has_scales && !options.calibration.empty()) {
    CONVOPT_TRY([[maybe_unused]] const auto unused, load_calibration(options.calibration));
    warn("--calibration is left out: the model has scales of its own");
  }
  if (has_scales) return {};
  if (!options.calibration.empty() || !options.calibrate.empty()) return {};
  const std::string_view needed =
      "needs the ranges of the network's tensors: give --calibration FILE, which `convopt "
      "calibrate` writes";
  if (!types.contains(DataType::bf16)) {
    return make_error(ErrorCode::usage, "--precision int8 " + std::string(needed));
  }
  warn("int8, which --precision auto leaves out here, " + std::string(needed));
  types.erase(DataType::s8);
  types.erase(DataType::u8);
  return {};
}

}  // namespace

Result<std::unique_ptr<Planning>> Planning::load(const PlanningOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Planning> planning(new Planning);
  planning->options_ = options.select;
  planning->options_.time_limit = std::chrono::duration<double>(options.time_limit);
  CONVOPT_TRY(Context context, options.context.context());
  // It takes as long as reading the network and finding its workloads.
  auto registry = std::async(std::launch::async | std::launch::deferred,
                             [&context] { return Registry::create(context); });
  CONVOPT_TRY(planning->network_, named_network(options));
  std::vector<TensorScale> scales = model_scales(planning->network_);
  const bool has_scales = std::ranges::any_of(
      scales, [](const TensorScale& scale) { return scale.type != DataType::f32; });
  CONVOPT_CHECK(check_calibration(options, has_scales, planning->options_.limits.types));
  if (has_scales && planning->options_.limits.types.contains(DataType::s8))
    planning->options_.limits.scales = std::move(scales);
  warn(planning->network_.warnings);
  if (has_scales && !planning->options_.limits.types.contains(DataType::s8))
    note("--precision int8 or auto computes in int8 what it can");
  const auto stored = stored_platform(context.isa, context.threads);
  if (!stored || !is_complete(*stored)) {
    CONVOPT_TRY(planning->registry_, registry.get());  // measuring wants the machine for itself
    note("measuring this machine's peak and bandwidths, once, for about a second");
  }
  CONVOPT_TRY(planning->platform_, cached_platform(context.isa, context.threads));
  planning->find_model_and_profile(options);
  if (registry.valid()) {
    CONVOPT_TRY(planning->registry_, registry.get());
  }
  CONVOPT_CHECK(planning->load_sound_times(options));
  planning->note_missing_types();
  warn(planning->times_->warnings());
  if (planning->times_->measured() == 0 && !options.profile.empty()) {
    note("profile '" + options.profile.string() +
         "' holds no valid times of this network; `convopt profile --network` adds them");
  }
  CONVOPT_CHECK(planning->find_scales(options));
  planning->load_ms_ =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return planning;
}

void Planning::find_model_and_profile(const PlanningOptions& options) {
  std::error_code ignored;
  std::filesystem::path model_path = options.model;
  if (model_path.empty()) model_path = local_model_path(platform_);
  const bool shipped = options.model.empty() && !std::filesystem::exists(model_path, ignored);
  if (shipped) model_path = default_model_path();
  std::filesystem::path profile_path = options.profile;
  if (profile_path.empty()) profile_path = local_profile_path(platform_);
  const bool has_profile =
      !options.profile.empty() || std::filesystem::exists(profile_path, ignored);

  // A network can be planned by measurements alone, so a missing shipped model is no error then.
  const bool needs_model =
      !options.model.empty() || !has_profile || std::filesystem::exists(model_path, ignored);
  for (const Workload& workload : network_workloads(network_, options_.limits.types)) {
    workloads_.insert(workload.text());
  }
  if (needs_model) files_.model = model_path;
  if (has_profile) files_.profile = profile_path;
  files_.workloads = &workloads_;
  files_.keep_index = true;
  if (needs_model && shipped) {
    note(
        "this machine has no model of its own, so times are predicted by the shipped model; "
        "`convopt "
        "transfer` makes one in half a minute");
  }
}

void Planning::note_missing_types() const {
  for (const DataType type : options_.limits.types) {
    const bool known = std::ranges::any_of(registry_->primitives(), [&](const Primitive* p) {
      return p->info().op == Op::conv && p->info().input_type == type;
    });
    if (!known && type != DataType::f32)
      note("no primitive here multiplies numbers of " + std::string(to_string(type)) +
           ", so no tensor will be stored in it");
  }
}

Result<void> Planning::load_times() {
  CONVOPT_TRY(times_, Times::load(files_, platform_, registry_->libraries()));
  return {};
}

Result<void> Planning::load_sound_times(const PlanningOptions& options) {
  const auto loaded = load_times();
  if (loaded) return {};
  const std::string& why = loaded.error().message;
  if (options.profile.empty() && !files_.profile.empty()) {
    files_.profile.clear();
    if (files_.model.empty()) files_.model = default_model_path();
    if (load_times()) {
      warn(why +
           "; it is left out: move it away, and `convopt profile` or `select --refine` makes it "
           "anew");
      return {};
    }
  }
  if (options.model.empty() && files_.model != default_model_path()) {
    files_.model = default_model_path();
    if (load_times()) {
      warn(why + "; the shipped model is taken, and `convopt transfer` makes the file anew");
      return {};
    }
  }
  return loaded;
}

Result<Calibration> Planning::calibrate(const std::string& option,
                                        const std::vector<std::string>& files) const {
  CONVOPT_TRY(const auto samples, calibration_samples(option, files, network_, kWeightsSeed));
  note("measuring the ranges of all tensors on " + counted(samples.size(), "input"));
  bind_threads(platform_.threads);
  return convopt::calibrate(network_, *registry_, times_->costs(), platform_,
                            NetworkWeights(network_, kWeightsSeed), samples, options_.time_limit);
}

Result<void> Planning::find_scales(const PlanningOptions& options) {
  const bool is_known = !options_.limits.scales.empty();
  if (is_known || !options_.limits.types.contains(DataType::s8)) return {};
  CONVOPT_TRY(const Calibration calibration, options.calibration.empty()
                                                 ? calibrate("--calibrate", options.calibrate)
                                                 : load_calibration(options.calibration));
  CONVOPT_TRY(options_.limits.scales, tensor_scales(network_, calibration, options.range));
  return {};
}

Result<Refinement> Planning::refine(double seconds) {
  const double start = budget_seconds();
  if (files_.profile.empty()) files_.profile = local_profile_path(platform_);
  ProfileOptions profiling;
  profiling.context = registry_->context();
  profiling.timing_mode = times_->timing_mode();
  // Enough to tell apart what is worth telling apart, in a third of the time.
  profiling.target_uncertainty = 0.03;
  profiling.race = true;
  profiling.output = files_.profile;
  const MeasureContested measure =
      [&](std::span<const Query> contested) -> Result<const CostSource*> {
    profiling.budget_seconds = seconds - (budget_seconds() - start);
    if (profiling.budget_seconds <= 0) return nullptr;
    std::vector<Workload> workloads;
    std::unordered_set<TimingKey> pairs;
    for (const Query& query : contested) {
      workloads.push_back(*query.workload);
      pairs.insert({query.workload->text(), query.primitive->name});
    }
    profiling.filter = [&](const Workload& workload, const PrimitiveInfo& info) {
      return pairs.contains({workload.text(), info.name});
    };
    CONVOPT_TRY(const auto summary, profile_first(workloads, profiling));
    warn(summary.warnings);
    CONVOPT_CHECK(load_times());
    return &times_->costs();
  };
  auto refined = convopt::refine(network_, *registry_, times_->costs(), options_, measure);
  if (refined) refined_costs_ = refined->costs;
  return refined;
}

/// Where it was the limit of the workspace, with the lowest one that leaves a plan.
Error Planning::with_enough_workspace(Error error) const {
  Limits limits = options_.limits;
  const std::size_t given = std::exchange(limits.max_workspace, SIZE_MAX);
  if (error.code != ErrorCode::usage || given == SIZE_MAX) return error;
  const auto problem = build_problem(network_, *registry_, costs(), limits);
  if (!problem) return error;
  const std::size_t enough = least_workspace(*problem);
  if (enough > given) error.message += "; a plan takes --max-workspace " + enough_bytes(enough);
  return error;
}

Result<Selection> Planning::select(std::size_t max_memory) const {
  Result<Selection> selection = convopt::select(network_, *registry_, costs(), platform_, options_);
  if (!selection) return with_enough_workspace(selection.error());
  if (max_memory < SIZE_MAX) {
    CONVOPT_TRY(const std::size_t bytes,
                fit_memory(*selection, platform_, max_memory, options_.time_limit));
    if (bytes > max_memory) {
      return make_error(ErrorCode::environment,
                        "no plan fits into " + format_bytes(static_cast<double>(max_memory)) +
                            "; the smallest found takes --max-memory " + enough_bytes(bytes));
    }
  }
  Plan& plan = selection->plan;
  if (const PerformanceModel* model = times_->model()) {
    plan.model = model->info().id;
    plan.seed = model->info().seed;
  }
  plan.load_ms = load_ms_;
  plan.total_ms += load_ms_;
  return selection;
}

Result<void> Planning::confirm(Selection& selection, double seconds, std::size_t max_memory) const {
  TimingOptions timing;
  timing.time = std::chrono::duration<double>(seconds);
  bind_threads(platform_.threads);
  const NetworkWeights weights(network_, kWeightsSeed);
  CONVOPT_TRY(const auto confirmed,
              convopt::confirm(selection, platform_, weights, timing, max_memory));
  for (const Confirmation::Contestant& contestant : confirmed.contestants) {
    note("measured: " + contestant.name + " takes " + format_time(contestant.times.median_ns()) +
         " (median), " + format_time(contestant.times.min_ns()) + " (min)");
  }
  if (confirmed.winner != 0) {
    note(confirmed.contestants[confirmed.winner].name +
         " is faster here than the plan, so it is the plan now");
  }
  return {};
}

bool Planning::is_cheap_to_confirm(const Plan& plan) {
  // A warming run, and in each of three rounds one run that counts and one before it.
  constexpr double kRuns = 7;
  // Single-precision weights are packed at 0.3 to 1 byte per nanosecond.
  constexpr double kPackedBytesPerMs = 0.3e6, kPlans = 3, kMostMs = 1000;
  const double runs_ms = plan.predicted_ms + plan.baselines.library_default_ms +
                         plan.baselines.best_single_primitive_ms;
  const double packing_ms =
      kPlans * static_cast<double>(plan.packed_weight_bytes) / kPackedBytesPerMs;
  return kRuns * runs_ms + packing_ms < kMostMs;
}

}  // namespace convopt::cli
