#include "src/report/gather.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "core/statistics.h"
#include "core/try.h"
#include "core/work.h"
#include "src/runtime/schedule.h"

namespace convopt {
namespace {

TensorFormat format(Layout layout, DataType type) { return {layout, type}; }

ReportCandidate shown(const Candidate& candidate) {
  const PrimitiveInfo& info = candidate.primitive->info();
  const Estimate& time = candidate.cost.estimate;
  return {info.name,
          info.family,
          format(info.input_layout, info.input_type),
          format(info.output_layout, info.output_type),
          time.ns / kNsPerUs,
          time.low_ns / kNsPerUs,
          time.high_ns / kNsPerUs,
          candidate.cost.source_text()};
}

/// Candidates of the problem, by the text of their workload.
class Candidates {
 public:
  explicit Candidates(const Problem& problem) : problem_(problem) {
    for (const Candidate& candidate : problem.candidates) {
      of_[problem.workloads[candidate.workload].text()].push_back(&candidate);
    }
  }

  const Candidate* find(const std::string& workload, std::string_view primitive) const {
    const auto found = of_.find(workload);
    if (found == of_.end()) return nullptr;
    const auto candidate = std::ranges::find(
        found->second, primitive, [](const Candidate* c) { return c->primitive->name(); });
    return candidate == found->second.end() ? nullptr : *candidate;
  }

  /// Index into `workloads`, where that of the step is added if it is new; -1 for one that the
  /// problem has not. Conversions between other formats are no other way to do the same.
  int add_to(std::vector<ReportWorkload>& workloads, const std::string& text,
             const ReportStep& step) {
    const auto found = of_.find(text);
    if (found == of_.end()) return -1;
    const std::string name =
        step.is_conversion ? text + ", " + to_string(step.input) + " > " + to_string(step.output)
                           : text;
    const auto [place, is_new] = places_.try_emplace(name, static_cast<int>(workloads.size()));
    if (!is_new) return place->second;
    ReportWorkload& workload = workloads.emplace_back();
    workload.text = name;
    std::map<std::string, std::vector<std::string>> absent;
    for (const Candidate* candidate : found->second) {
      const PrimitiveInfo& info = candidate->primitive->info();
      if (step.is_conversion && (format(info.input_layout, info.input_type) != step.input ||
                                 format(info.output_layout, info.output_type) != step.output)) {
        continue;
      }
      if (candidate->present()) {
        workload.candidates.push_back(shown(*candidate));
      } else {
        absent[candidate->reason].emplace_back(candidate->primitive->name());
      }
    }
    std::ranges::stable_sort(workload.candidates, {}, &ReportCandidate::us);
    for (auto& [reason, primitives] : absent) workload.absent.push_back({reason, primitives});
    std::ranges::stable_sort(workload.absent, [](const ReportAbsence& a, const ReportAbsence& b) {
      return a.primitives.size() > b.primitives.size();
    });
    return place->second;
  }

  /// Predictions beside what was measured, of all candidates whose times are known twice.
  Result<std::vector<std::pair<double, double>>> known(const PerformanceModel& model,
                                                       const Platform& platform) const {
    std::vector<Query> queries;
    std::vector<double> measured_us;
    for (const Candidate& candidate : problem_.candidates) {
      if (!candidate.present() || candidate.cost.source != Cost::Source::measured) continue;
      queries.push_back({&problem_.workloads[candidate.workload], &candidate.primitive->info()});
      measured_us.push_back(candidate.cost.estimate.ns / kNsPerUs);
    }
    CONVOPT_TRY(const auto estimates, model.predict(queries, platform));
    std::vector<std::pair<double, double>> pairs;
    for (std::size_t i = 0; i < estimates.size(); ++i) {
      pairs.emplace_back(estimates[i].ns / kNsPerUs, measured_us[i]);
    }
    return pairs;
  }

 private:
  const Problem& problem_;
  std::unordered_map<std::string, std::vector<const Candidate*>> of_;
  std::unordered_map<std::string, int> places_;
};

void add_work(ReportStep& step, const ScheduleStep& scheduled, Isa isa) {
  const PrimitiveInfo& info = scheduled.primitive->info();
  const WorkEstimate work = estimate_work(scheduled.workload, info, vector_floats(isa));
  step.flops = work.nominal_flops;
  step.bytes = work.tensor_bytes() + work.weight_bytes;
  step.product_type = info.traits.product_type;
}

/// The layers of the library's default, by the names of their operators.
void add_defaults(std::vector<ReportStep>& steps, const Selection& selection,
                  const Platform& platform) {
  if (!selection.baselines.library_default) return;
  const Plan plan = make_plan(selection.problem, *selection.baselines.library_default, platform);
  std::unordered_map<std::string, const PlanLayer*> layers;
  for (const PlanLayer& layer : plan.layers) layers[layer.name] = &layer;
  for (ReportStep& step : steps) {
    if (step.is_conversion) continue;
    const auto found = layers.find(step.name);
    if (found == layers.end()) continue;
    step.default_primitive = found->second->primitive;
    // Other epilogues are other work.
    if (found->second->fused == step.fused) step.default_us = found->second->predicted_us;
  }
}

Result<std::vector<ReportStep>> steps_of(const ReportSources& sources, Candidates& candidates,
                                         std::vector<ReportWorkload>& workloads) {
  const Problem& problem = sources.selection.problem;
  const Plan& plan = sources.plan;
  CONVOPT_TRY(const Schedule schedule, make_schedule(*problem.network, plan, *problem.registry));
  std::unordered_map<std::string, const PlanLayer*> layers;
  for (const PlanLayer& layer : plan.layers) layers[layer.name] = &layer;
  std::vector<ReportStep> steps;
  std::vector<Query> queries;
  for (std::size_t s = 0; s < schedule.steps.size(); ++s) {
    const ScheduleStep& scheduled = schedule.steps[s];
    const PrimitiveInfo& info = scheduled.primitive->info();
    ReportStep& step = steps.emplace_back();
    step.name = scheduled.name;
    step.is_conversion = scheduled.is_conversion();
    step.primitive = info.name;
    step.family = info.family;
    step.us = step.low_us = step.high_us = scheduled.predicted_us;
    step.source = "predicted";
    step.input = format(info.input_layout, info.input_type);
    step.output = format(info.output_layout, info.output_type);
    const std::string text = scheduled.workload.text();
    step.shape = text;
    if (!step.is_conversion) {
      const PlanLayer& layer = *layers.at(step.name);
      step.fused = layer.fused;
      step.low_us = layer.low_us;
      step.high_us = layer.high_us;
      step.input = layer.input();
      step.output = layer.output();
      step.source = layer.measured ? "measured" : layer.extrapolated ? "extrapolated" : "predicted";
    }
    step.workload = candidates.add_to(workloads, text, step);
    const Candidate* chosen = candidates.find(text, info.name);
    if (chosen != nullptr && chosen->present() && chosen->cost.source == Cost::Source::measured) {
      step.measured_us = chosen->cost.estimate.ns / kNsPerUs;
      if (step.is_conversion) step.source = "measured";
    }
    if (s < sources.steps_ns.size()) step.measured_us = sources.steps_ns[s] / kNsPerUs;
    add_work(step, scheduled, plan.platform.isa);
    queries.push_back({&scheduled.workload, &info});
  }
  if (sources.model != nullptr) {
    CONVOPT_TRY(const auto estimates, sources.model->predict(queries, sources.platform));
    for (std::size_t s = 0; s < steps.size(); ++s) steps[s].model_us = estimates[s].ns / kNsPerUs;
  }
  return steps;
}

ReportRegions::Cell cell_of(std::span<const Query> queries, std::span<const Estimate> estimates) {
  ReportRegions::Cell cell;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const double us = estimates[i].ns / kNsPerUs;
    if (!cell.primitive.empty() && us >= cell.us) continue;
    cell.primitive = queries[i].primitive->name;
    cell.family = queries[i].primitive->family;
    cell.us = us;
  }
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const double us = estimates[i].ns / kNsPerUs;
    if (queries[i].primitive->family == cell.family) continue;
    if (cell.next_us > 0 && us >= cell.next_us) continue;
    cell.next_family = queries[i].primitive->family;
    cell.next_us = us;
  }
  return cell;
}

/// Convolutions with padding that keeps the size, in single precision.
Result<ReportRegions> regions_of(const Registry& registry, const PerformanceModel& model,
                                 const Platform& platform, int kernel) {
  ReportRegions regions;
  regions.kernel = kernel;
  regions.channels = {8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024};
  regions.sizes = {7, 10, 14, 20, 28, 40, 56, 80, 112, 160, 224};
  std::deque<Workload> workloads;
  std::vector<Query> queries;
  std::vector<std::size_t> ends;  ///< of each cell's queries
  for (const int channels : regions.channels) {
    for (const int size : regions.sizes) {
      ConvShape shape{.n = 1, .ic = channels, .ih = size, .iw = size, .oc = channels};
      shape.kh = shape.kw = kernel;
      shape.pad_top = shape.pad_bottom = shape.pad_left = shape.pad_right = kernel / 2;
      const Workload& workload = workloads.emplace_back(Workload::conv(shape));
      for (const Primitive* primitive : registry.primitives()) {
        const PrimitiveInfo& info = primitive->info();
        if (!info.computes(workload) || info.traits.type_of_weights() != DataType::f32) continue;
        if (!primitive->applicability(workload, registry.context())) continue;
        queries.push_back({&workload, &info});
      }
      ends.push_back(queries.size());
    }
  }
  CONVOPT_TRY(const auto estimates, model.predict(queries, platform));
  std::size_t begin = 0, next = 0;
  for (std::size_t c = 0; c < regions.channels.size(); ++c) {
    std::vector<ReportRegions::Cell>& row = regions.cells.emplace_back();
    for (std::size_t s = 0; s < regions.sizes.size(); ++s) {
      const std::size_t count = ends[next] - begin;
      row.push_back(cell_of(std::span(queries).subspan(begin, count),
                            std::span(estimates).subspan(begin, count)));
      begin = ends[next++];
    }
  }
  return regions;
}

/// The network's own convolutions of that kernel, by the geometric mean of their channels and size.
void add_layers(ReportRegions& regions, const Network& network) {
  std::set<std::pair<double, double>> found;
  for (const Operator& op : network.operators) {
    if (op.kind != OperatorKind::compute || op.workload.op != Op::conv) continue;
    const ConvShape& shape = op.workload.shape;
    if (shape.kh != regions.kernel || shape.kw != regions.kernel || shape.groups > 1) continue;
    if (shape.stride_h != 1 || shape.stride_w != 1) continue;
    found.emplace(std::sqrt(double(shape.ic) * shape.oc), std::sqrt(double(shape.ih) * shape.iw));
  }
  regions.layers.assign(found.begin(), found.end());
}

ReportModel model_facts(const ModelInfo& info, const Platform& platform) {
  ReportModel facts{
      info.id, info.platforms, info.samples, info.holdout_mdrae, info.interval_coverage, false};
  facts.knows_machine = std::ranges::find(info.platforms, platform.id()) != info.platforms.end();
  return facts;
}

ReportErrors errors_of(const std::string& family, const std::vector<double>& ratios) {
  const auto at = [&](double fraction) { return quantile(ratios, fraction); };
  return {family, ratios.size(), at(0.05), at(0.25), median(ratios), at(0.75), at(0.95)};
}

/// Of all times that the profile has of the platform in the model's timing mode.
Result<std::vector<ReportErrors>> errors_on(const Profile& profile, const PerformanceModel& model,
                                            const Platform& platform) {
  std::map<std::pair<std::string_view, std::string_view>, const PrimitiveInfo*> primitives;
  for (const RunHeader& run : profile.runs) {
    if (run.platform.id() != platform.id() || run.timing_mode != model.info().timing_mode) continue;
    for (const PrimitiveInfo& info : run.primitives) primitives[{run.run, info.name}] = &info;
  }
  std::vector<Query> queries;
  std::vector<double> measured_ns;
  for (const Measurement& m : profile.measurements) {
    if (m.status != MeasurementStatus::ok || !(m.median_ns > 0)) continue;
    const auto primitive = primitives.find({m.run, m.primitive});
    if (primitive == primitives.end()) continue;
    queries.push_back({&m.workload, primitive->second});
    measured_ns.push_back(m.median_ns);
  }
  std::vector<ReportErrors> errors;
  if (queries.empty()) return errors;
  CONVOPT_TRY(const auto estimates, model.predict(queries, platform));
  std::vector<double> all;
  std::map<std::string, std::vector<double>> of_family;
  for (std::size_t i = 0; i < estimates.size(); ++i) {
    const double ratio = measured_ns[i] / estimates[i].ns;
    all.push_back(ratio);
    of_family[queries[i].primitive->family].push_back(ratio);
  }
  for (const auto& [family, ratios] : of_family) errors.push_back(errors_of(family, ratios));
  std::ranges::stable_sort(errors, std::ranges::greater(), &ReportErrors::times);
  errors.insert(errors.begin(), errors_of("", all));
  return errors;
}

std::vector<ReportTotal> totals_of(const Plan& plan) {
  const PlanBaselines& b = plan.baselines;
  std::vector<ReportTotal> totals = {{"this plan", plan.predicted_ms, {}}};
  const auto add = [&](const std::string& name, double ms) {
    if (ms > 0) totals.push_back({name, ms, {}});
  };
  add("default of the library" + (b.library.empty() ? "" : ", " + b.library), b.library_default_ms);
  add("best single primitive" +
          (b.best_single_primitive.empty() ? "" : ", " + b.best_single_primitive),
      b.best_single_primitive_ms);
  add("fastest per layer, then conversions", b.greedy_ms);
  return totals;
}

}  // namespace

Result<Report> gather(const ReportSources& sources) {
  const Problem& problem = sources.selection.problem;
  Report report;
  report.network = problem.network->name;
  report.source = problem.network->source;
  report.plan = sources.plan;
  report.platform = sources.platform;
  report.other_machine = sources.plan.platform.machine_id() != sources.platform.machine_id();
  report.totals = totals_of(sources.plan);
  Candidates candidates(problem);
  CONVOPT_TRY(report.steps, steps_of(sources, candidates, report.workloads));
  add_defaults(report.steps, sources.selection, sources.platform);
  report.is_measured_in_network = !sources.steps_ns.empty();
  if (sources.model == nullptr) return report;
  report.model = model_facts(sources.model->info(), sources.platform);
  CONVOPT_TRY(report.known, candidates.known(*sources.model, sources.platform));
  if (sources.profile != nullptr) {
    CONVOPT_TRY(report.errors, errors_on(*sources.profile, *sources.model, sources.platform));
  }
  for (const int kernel : {3, 1}) {
    CONVOPT_TRY(auto regions,
                regions_of(*problem.registry, *sources.model, sources.platform, kernel));
    add_layers(regions, *problem.network);
    report.regions.push_back(std::move(regions));
  }
  return report;
}

}  // namespace convopt
