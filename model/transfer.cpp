#include "model/transfer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/try.h"
#include "model/features.h"

namespace convopt {
namespace {

void merge_ranges(SeenRanges& into, const SeenRanges& more) {
  for (const auto& [op, range] : more) {
    const auto [at, inserted] = into.try_emplace(op, range);
    if (inserted) continue;
    for (std::size_t i = 0; i < range.first.size(); ++i) {
      at->second.first[i] = std::min(at->second.first[i], range.first[i]);
      at->second.second[i] = std::max(at->second.second[i], range.second[i]);
    }
  }
}

void add_primitives(ModelParts& parts, const std::vector<PrimitiveInfo>& more) {
  std::set<std::string> known(parts.info.primitives.begin(), parts.info.primitives.end());
  for (const PrimitiveInfo& primitive : more) {
    if (!known.insert(primitive.name).second) continue;
    parts.info.primitives.push_back(primitive.name);
    // The value it would have anyhow; from now on it is known.
    Intercepts& intercepts = parts.priors.intercepts;
    intercepts.by_primitive.try_emplace(primitive.name, intercepts.of(primitive));
  }
}

// Trees, prior features and ranges of what was learnt, or of the source.
TypeModel make_model(const TypeModel& source, const Dataset& data, ModelParts parts,
                     const AdaptedFit& learnt, const TransferOptions& options) {
  if (learnt.own != nullptr) {
    parts.priors = learnt.own->priors;
    parts.ranges = seen_ranges(data);
    parts.parameters = scratch_parameters(options.seed);
    return {std::move(parts), learnt.own->trees};
  }
  parts.info.primitives = source.parts().info.primitives;
  parts.priors = source.parts().priors;
  parts.ranges = source.parts().ranges;
  parts.parameters = source.parts().parameters;
  merge_ranges(parts.ranges, seen_ranges(data));
  add_primitives(parts, data.primitives);
  return {std::move(parts), learnt.more_trees != nullptr ? *learnt.more_trees : source.trees()};
}

struct Adapted {
  TypeModel model;
  std::vector<TransferCandidate> candidates;
};

/// `id`: of the model that `source` is from.
Result<Adapted> adapt_type(const TypeModel& source, const std::string& id, const Dataset& data,
                           const TransferOptions& options) {
  CONVOPT_TRY(const Adapter adapter, Adapter::create(source, data, options.seed));
  const std::vector<std::size_t> rows = data.all_rows();
  CONVOPT_TRY(Comparison comparison, adapter.compare(rows, options));
  CONVOPT_TRY(AdaptedFit learnt, adapter.learn(comparison, rows));

  ModelParts parts;
  parts.info = describe(data, options.seed);
  parts.codes = data.codes;
  parts.platforms = data.platforms;
  parts.method = std::string(to_string(learnt.method)) + " from " + id;
  parts.intervals = source.parts().intervals;
  if (!comparison.errors.empty()) {
    parts.intervals = Intervals::fit(data, rows, comparison.errors);
    parts.info.interval_coverage = Intervals::coverage(data, rows, comparison.errors,
                                                       comparison.fold_of_group, comparison.folds);
    parts.holdout = comparison.candidates[comparison.chosen].scores;
    parts.info.holdout_mdrae = parts.holdout.mdrae;
  }
  CONVOPT_TRY(const LinearCosts* const costs, source.parts().costs_near(data.platforms.front()));
  parts.adapted = LinearCosts::adapt(*costs, data, rows, kCostDeviation);
  parts.ensemble = std::move(learnt.ensemble);
  return Adapted{make_model(source, data, std::move(parts), learnt, options),
                 std::move(comparison.candidates)};
}

void add_names(std::vector<std::string>& names, const std::vector<std::string>& more) {
  for (const std::string& name : more) {
    if (std::ranges::count(names, name) == 0) names.push_back(name);
  }
}

struct Compared {
  const TransferCandidate *source = nullptr, *chosen = nullptr;
};
/// The source as it is, and what was chosen; null if they were not compared.
Compared compared(const std::vector<TransferCandidate>& candidates) {
  const auto chosen = std::ranges::find(candidates, true, &TransferCandidate::chosen);
  const auto source =
      std::ranges::find(candidates, TransferMethod::zero_shot, &TransferCandidate::method);
  if (chosen == candidates.end() || source == candidates.end() || !(source->loss > 0)) return {};
  return {&*source, &*chosen};
}

}  // namespace

bool Transfer::better_choices() const {
  const auto [source, chosen] = compared(candidates);
  return source == nullptr || chosen->scores.regret < source->scores.regret;
}

bool Transfer::beats_source() const {
  const auto [source, chosen] = compared(candidates);
  return source != nullptr && chosen->loss < source->loss;
}

Result<Transfer> adapt(const TrainedModel& source, const Profile& target,
                       const TransferOptions& options) {
  if (options.methods.empty()) {
    return make_error(ErrorCode::usage, "no method to adapt the model was asked for");
  }
  const TimingMode mode = source.info().timing_mode;
  const auto made = make_dataset(std::span(&target, 1), mode, source.base().parts().codes);
  if (!made) {
    return make_error(made.error().code, "the profile holds no times in the model's timing mode, " +
                                             std::string(to_string(mode)));
  }
  const Dataset& data = *made;
  Transfer transfer{.shapes = data.groups.size(), .samples = data.samples.size()};
  std::vector<ModelOfType> models;
  const TypeModel* base = nullptr;
  // The model of one type, corrected from the base as adapted before.
  const auto add = [&](DataType type, const Deferred<TypeModel>& from) -> Result<void> {
    Dataset own = data.only(type);
    if (own.samples.empty()) {
      models.push_back({type, from});
      return {};
    }
    if (base != nullptr) {
      CONVOPT_TRY(own, expect(*base, std::move(own)));
    }
    CONVOPT_TRY(const TypeModel* const known, from.get());
    CONVOPT_TRY(Adapted adapted, adapt_type(*known, source.info().id, own, options));
    if (transfer.candidates.empty()) transfer.candidates = std::move(adapted.candidates);
    models.push_back({type, Deferred<TypeModel>(std::move(adapted.model))});
    return {};
  };
  for (const ModelOfType& known : source.models()) {
    CONVOPT_CHECK(add(known.type, known.model));
    if (base == nullptr) {
      CONVOPT_TRY(base, models.front().model.get());
    }
  }
  for (const DataType type : kArithmeticTypes) {
    if (std::ranges::count(models, type, &ModelOfType::type) > 0) continue;
    if (data.only(type).samples.empty()) continue;
    CONVOPT_TRY(TypeModel nothing, TypeModel::without_correction(*base, data.platforms.front()));
    const Deferred<TypeModel> from(std::move(nothing));
    CONVOPT_CHECK(add(type, from));
  }

  ModelInfo info = describe(data, options.seed);
  add_names(info.primitives, source.info().primitives);
  info.holdout_mdrae = base->parts().info.holdout_mdrae;
  info.interval_coverage = base->parts().info.interval_coverage;
  CONVOPT_TRY(transfer.model, TrainedModel::create(std::move(info), std::move(models)));
  return transfer;
}

}  // namespace convopt
