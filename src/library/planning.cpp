#include "src/library/planning.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include "core/text.h"
#include "core/timing_key.h"
#include "core/try.h"
#include "profiler/affinity.h"
#include "profiler/machine.h"
#include "profiler/store.h"
#include "profiler/timer.h"
#include "src/library/samples.h"
#include "src/runtime/weights.h"
#include "src/select/calibration.h"
#include "src/select/workloads.h"
#include "src/tune/calibrate.h"
#include "src/tune/confirm.h"
#include "src/tune/memory_budget.h"
#include "src/tune/model_paths.h"
#include "src/tune/prediction_bound.h"
#include "src/tune/sensitivity.h"

namespace convopt {
namespace {

/// Why a budget without any error is none.
Error no_error(const std::string& given, const std::string& example) {
  return make_error(ErrorCode::usage,
                    given +
                        " admits no difference at all, which bf16 and int8 always make: give a "
                        "number like " +
                        example + ", or --precision f32 without it");
}

Result<void> check_budget(const ErrorBudget& budget) {
  // Nothing but the same numbers has a larger one, within double precision.
  constexpr double kMostCosine = 1 - 1e-9, kNoCosine = ErrorBudget().min_cosine;
  const std::string error = "--max-output-error " + significant(budget.max_error, 6);
  if (budget.max_error == 0) return no_error(error, "0.01");
  if (!(budget.max_error > 0))
    return make_error(ErrorCode::usage, error + " is not a number above zero");
  if (budget.min_cosine == kNoCosine) return {};
  const std::string cosine = "--min-cosine " + significant(budget.min_cosine, 6);
  if (!(budget.min_cosine >= 0 && budget.min_cosine <= 1))
    return make_error(ErrorCode::usage, cosine + " is not a number from 0 to 1, as a cosine is");
  if (budget.min_cosine > kMostCosine) return no_error(cosine, "0.999");
  return {};
}

/// Whether int8 may be used, with what is given for it; a model that has scales of its own needs
/// nothing.
Result<void> check_calibration(const PlanningRequest& request, bool has_scales,
                               std::set<DataType>& types) {
  if (types.size() == 1 && request.calibration) {
    return make_error(ErrorCode::usage,
                      "--calibration has no effect without --precision bf16, int8 or auto");
  }
  if (has_scales && request.calibration) {
    CONVOPT_TRY([[maybe_unused]] const auto unused, request.calibration());
    request.messages.warn_of("--calibration is left out: the model has scales of its own");
  }
  if (!types.contains(DataType::s8) || has_scales || request.calibration || request.samples)
    return {};
  const std::string_view needed =
      "needs the ranges of the network's tensors: give --calibration FILE, which `convopt "
      "calibrate` writes";
  if (!types.contains(DataType::bf16)) {
    return make_error(ErrorCode::usage, "--precision int8 " + std::string(needed));
  }
  request.messages.warn_of("int8, which --precision auto leaves out here, " + std::string(needed));
  types.erase(DataType::s8);
  types.erase(DataType::u8);
  return {};
}

}  // namespace

Result<std::unique_ptr<Planning>> Planning::load(const std::function<Result<Network>()>& network,
                                                 const PlanningRequest& request) {
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Planning> planning(new Planning);
  planning->request_ = request;
  planning->options_ = request.select;
  const Context& context = request.context;
  CONVOPT_TRY(planning->registry_, Registry::create(context));
  // Asking the libraries what they offer takes as long as reading the network and the model.
  const auto discovery =
      std::async(std::launch::async | std::launch::deferred,
                 [registry = planning->registry_.get()] { registry->primitives(); });
  CONVOPT_TRY(planning->network_, network());
  std::vector<TensorScale> scales = model_scales(planning->network_);
  const bool has_scales = std::ranges::any_of(
      scales, [](const TensorScale& scale) { return scale.type != DataType::f32; });
  planning->has_scales_ = has_scales;
  CONVOPT_CHECK(check_calibration(request, has_scales, planning->options_.limits.types));
  if (has_scales && planning->options_.limits.types.contains(DataType::s8))
    planning->options_.limits.scales = std::move(scales);
  request.messages.warn_of(planning->network_.warnings);
  if (has_scales && !planning->options_.limits.types.contains(DataType::s8))
    planning->note("--precision int8 or auto computes in int8 what it can");
  const auto stored = stored_platform(context.isa, context.threads);
  if (!stored || !is_complete(*stored)) {
    discovery.wait();  // measuring wants the machine for itself
  }
  CONVOPT_TRY(planning->platform_,
              measured_platform(context.isa, context.threads, request.rates, request.messages));
  planning->find_model_and_profile();
  CONVOPT_CHECK(planning->load_sound_times());
  CONVOPT_CHECK(planning->correct_costs());
  planning->advise_transfer();
  planning->note_missing_types();
  request.messages.warn_of(planning->times_->warnings());
  if (planning->times_->measured() == 0 && !request.profile.empty() &&
      !planning->profile().empty()) {
    planning->note("profile '" + request.profile.string() +
                   "' holds no valid times of this network; `convopt profile --network` adds them");
  }
  CONVOPT_CHECK(planning->find_calibration());
  planning->load_ms_ =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return planning;
}

void Planning::find_model_and_profile() {
  std::error_code ignored;
  std::filesystem::path model_path = request_.model;
  if (model_path.empty()) model_path = local_model_path(platform_);
  const bool shipped = request_.model.empty() && !std::filesystem::exists(model_path, ignored);
  if (shipped) model_path = default_model_path();
  std::filesystem::path profile_path = request_.profile;
  if (profile_path.empty()) profile_path = local_profile_path(platform_);
  const bool has_profile = (!request_.profile.empty() && !request_.may_begin_profile) ||
                           std::filesystem::exists(profile_path, ignored);

  // A network can be planned by measurements alone, so a missing shipped model is no error then.
  const bool needs_model =
      !request_.model.empty() || !has_profile || std::filesystem::exists(model_path, ignored);
  for (const Workload& workload : network_workloads(network_, options_.limits.types)) {
    workloads_.insert(workload.text());
  }
  if (needs_model) files_.model = model_path;
  if (has_profile) files_.profile = profile_path;
  files_.workloads = &workloads_;
  files_.keep_index = true;
}

void Planning::advise_transfer() const {
  const PerformanceModel* const model = times_->model();
  if (model == nullptr || files_.model != default_model_path()) return;
  const auto& known = model->info().platforms;
  if (std::ranges::find(known, platform_.id()) != known.end()) return;
  note("the shipped model, by which times are predicted, has not seen a CPU like this one with " +
       counted(static_cast<std::size_t>(platform_.threads), "thread") +
       "; `convopt transfer` adapts it in half a minute");
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

Result<void> Planning::correct_costs() {
  CONVOPT_TRY(corrected_costs_,
              times_->corrected_costs(network_, *registry_, options_.limits.types));
  return {};
}

Result<void> Planning::load_sound_times() {
  const auto loaded = load_times();
  if (loaded) return {};
  const std::string& why = loaded.error().message;
  if (request_.profile.empty() && !files_.profile.empty()) {
    files_.profile.clear();
    if (files_.model.empty()) files_.model = default_model_path();
    if (load_times()) {
      warn(why +
           "; it is left out: move it away, and `convopt profile` or `select --refine` makes it "
           "anew");
      return {};
    }
  }
  if (request_.model.empty() && files_.model != default_model_path()) {
    files_.model = default_model_path();
    if (load_times()) {
      warn(why + "; the shipped model is taken, and `convopt transfer` makes the file anew");
      return {};
    }
  }
  return loaded;
}

void Planning::bind_threads_if_asked() const {
  if (request_.bind_threads) bind_threads(platform_.threads);
}

Result<Calibration> Planning::ranges() const {
  CONVOPT_TRY(const auto samples, request_.samples(network_));
  note("measuring the ranges of all tensors on " + counted(samples.size(), "input"));
  bind_threads_if_asked();
  return convopt::calibrate(network_, *registry_, times_->costs(), platform_,
                            NetworkWeights(network_, kWeightsSeed), samples, options_.time_limit);
}

Result<Calibration> Planning::calibrate() const {
  CONVOPT_TRY(Calibration result, calibration_ ? Result<Calibration>(*calibration_) : ranges());
  if (has_scales_ || options_.limits.types.size() == 1) return result;
  CONVOPT_TRY(const Problem problem, build_problem(network_, *registry_, costs(), options_.limits));
  CONVOPT_TRY(const auto samples, request_.samples(network_));
  CONVOPT_TRY(result.sensitivities,
              sensitivities(problem, platform_, NetworkWeights(network_, kWeightsSeed), samples,
                            options_.time_limit, request_.messages.note));
  result.sensitivity_samples = std::min(samples.size(), kSensitivitySamples);
  result.sensitivity_range = request_.range;
  return result;
}

Result<void> Planning::find_calibration() {
  if (has_scales_) return {};
  const bool needs_scales = options_.limits.types.contains(DataType::s8);
  if (request_.calibration) {
    CONVOPT_TRY(Calibration given, request_.calibration());
    CONVOPT_CHECK(check_fits(network_, given));
    // Other scales make other errors.
    if (given.sensitivity_range != request_.range) {
      std::erase_if(given.sensitivities,
                    [](const Sensitivity& s) { return s.type == DataType::s8; });
    }
    calibration_ = std::move(given);
  } else if (needs_scales) {
    CONVOPT_TRY(calibration_, ranges());
  }
  if (needs_scales) {
    CONVOPT_TRY(options_.limits.scales, tensor_scales(network_, *calibration_, request_.range));
  }
  return {};
}

Result<Refinement> Planning::refine(double seconds) {
  const double start = budget_seconds();
  ProfileSummary all;  // of all rounds, whose warnings are said once
  if (files_.profile.empty())
    files_.profile = request_.profile.empty() ? local_profile_path(platform_) : request_.profile;
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
    CONVOPT_TRY(const auto summary, request_.measure(workloads, profiling));
    if (all.warnings.empty()) request_.messages.warn_of(summary.warnings);
    all.warnings = summary.warnings;
    all.samples += summary.samples;
    all.lost_samples += summary.lost_samples;
    all.given_up += summary.given_up;
    all.budget_exhausted = all.budget_exhausted || summary.budget_exhausted;
    CONVOPT_CHECK(load_times());
    return &times_->costs();
  };
  CONVOPT_TRY(Refinement refined,
              convopt::refine(network_, *registry_, times_->costs(), options_, measure));
  CONVOPT_CHECK(correct_costs());
  if (const auto busy = busy_warning(all)) warn(*busy);
  // What was to be timed and was not may still make a better plan.
  refined.settled = refined.settled && !all.budget_exhausted && all.given_up == 0;
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
  bind_threads_if_asked();
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

Result<void> PlanSteps::check(const std::set<DataType>& types) const {
  CONVOPT_CHECK(check_budget(error_budget));
  if (!measures_error && !error_budget.is_limited()) return {};
  const auto refuse = [](const std::string& sentence) {
    return make_error(ErrorCode::usage,
                      "--max-output-error, --min-cosine and --calibrate " + sentence);
  };
  if (types.size() == 1) return refuse("have no effect with --precision f32, which errs nothing");
  if (confirm > 0) return refuse("cannot be combined with --confirm, which may change the plan");
  if (max_memory < SIZE_MAX) return refuse("cannot be combined with --max-memory");
  return {};
}

Result<void> Planning::keep_error_budget(Selection& selection, const ErrorBudget& budget) const {
  if (!request_.samples) {
    warn("without --calibrate, errors are measured on random inputs, which real ones may exceed");
  }
  CONVOPT_TRY(const auto samples, request_.samples ? request_.samples(network_)
                                                   : random_samples(network_, kWeightsSeed));
  bind_threads_if_asked();
  const NetworkWeights weights(network_, kWeightsSeed);
  CONVOPT_TRY(const auto report,
              fit_error(selection, platform_, weights, samples, budget, options_.time_limit,
                        request_.messages.note, calibration_ ? &*calibration_ : nullptr));
  if (request_.samples && budget.is_limited() && samples.size() < kLeastForBound) {
    warn("the error limit was checked on " + counted(samples.size(), "input") + " alone; give " +
         std::to_string(kLeastForBound) + " or more, so that it covers others like them");
  }
  if (report.in_own_types) {
    warn(
        "no plan in other types that keeps the error limit was found; this one is in the "
        "network's own types");
  } else if (report.changed) {
    note(counted(report.plans, "plan") + " were run to find this one");
  }
  return {};
}

Result<Selection> Planning::select(const PlanSteps& steps) {
  if (steps.refine > 0) {
    CONVOPT_TRY(const auto refined, refine(steps.refine));
    note("timed " + std::to_string(refined.timed) + " of " + std::to_string(refined.asked) +
         " primitives that could change the plan; " +
         (refined.settled ? "no other could make it faster, within the intervals of the predictions"
                          : "more time would measure more of them"));
  }
  CONVOPT_TRY(auto selection, select(steps.max_memory));
  if (steps.confirm > 0) {
    note("running the plan and its rivals for " + duration_text(steps.confirm));
    CONVOPT_CHECK(confirm(selection, steps.confirm, steps.max_memory));
  }
  if (steps.measures_error || steps.error_budget.is_limited()) {
    CONVOPT_CHECK(keep_error_budget(selection, steps.error_budget));
  }
  return selection;
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

}  // namespace convopt
