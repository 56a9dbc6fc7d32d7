#include "src/cli/planning.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <unordered_set>
#include <utility>

#include "core/text.h"
#include "core/timing_key.h"
#include "core/try.h"
#include "profiler/machine.h"
#include "profiler/profiler.h"
#include "profiler/store.h"
#include "profiler/timer.h"
#include "src/cli/log.h"
#include "src/cli/progress.h"
#include "src/cli/values.h"
#include "src/select/workloads.h"
#include "src/tune/memory_budget.h"
#include "src/tune/model_paths.h"

namespace convopt::cli {

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

void PlanningOptions::add_to(CLI::App& verb) {
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
  add_duration(verb, "--time-limit", time_limit,
               "Time for proving that no plan is better, e.g. 500ms.", /*may_be_zero=*/true);
}

Result<std::unique_ptr<Planning>> Planning::load(const PlanningOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Planning> planning(new Planning);
  planning->options_ = options.select;
  planning->options_.time_limit = std::chrono::duration<double>(options.time_limit);
  CONVOPT_TRY(Context context, options.context.context());
  CONVOPT_TRY(planning->network_, named_network(options));
  warn(planning->network_.warnings);
  CONVOPT_TRY(planning->registry_, Registry::create(context));
  if (auto stored = stored_platform(context.isa, context.threads)) {
    planning->platform_ = std::move(*stored);
  } else {
    note("measuring this machine's peak and bandwidths, once, for about a second");
    CONVOPT_TRY(planning->platform_, cached_platform(context.isa, context.threads));
  }
  planning->find_model_and_profile(options);
  CONVOPT_CHECK(planning->load_times());
  warn(planning->times_->warnings());
  if (planning->times_->measured() == 0 && !options.profile.empty()) {
    note("profile '" + options.profile.string() +
         "' holds no valid times of this network; `convopt profile --network` adds them");
  }
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
  for (const Workload& workload : network_workloads(network_)) workloads_.insert(workload.text());
  if (needs_model) files_.model = model_path;
  if (has_profile) files_.profile = profile_path;
  files_.workloads = &workloads_;
  if (needs_model && shipped) {
    note(
        "this machine has no model of its own, so times are predicted by the shipped model; "
        "`convopt "
        "transfer` makes one in half a minute");
  }
}

Result<void> Planning::load_times() {
  CONVOPT_TRY(times_, Times::load(files_, platform_, registry_->libraries()));
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
  profiling.stop = &stop_on_signal();
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
    CONVOPT_TRY(const auto summary, profile(workloads, profiling));
    warn(summary.warnings);
    CONVOPT_CHECK(load_times());
    return &times_->costs();
  };
  auto refined = convopt::refine(network_, *registry_, times_->costs(), options_, measure);
  if (refined) refined_costs_ = refined->costs;
  return refined;
}

Result<Selection> Planning::select(std::size_t max_memory) const {
  Result<Selection> selection = convopt::select(network_, *registry_, costs(), platform_, options_);
  if (!selection) return selection;
  if (max_memory < SIZE_MAX) {
    CONVOPT_CHECK(fit_memory(*selection, platform_, max_memory, options_.time_limit));
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

}  // namespace convopt::cli
