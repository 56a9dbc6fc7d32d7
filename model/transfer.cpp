#include "model/transfer.h"

#include <algorithm>
#include <set>

#include "core/try.h"

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
Result<std::unique_ptr<TrainedModel>> make_model(const TrainedModel& source, const Dataset& data,
                                                 ModelParts parts, const Learnt& learnt,
                                                 const TransferOptions& options) {
  if (learnt.own != nullptr) {
    parts.priors = learnt.own->priors;
    parts.ranges = seen_ranges(data);
    parts.parameters = scratch_parameters(options.seed);
    return TrainedModel::create(std::move(parts), std::move(learnt.own->booster));
  }
  parts.info.primitives = source.info().primitives;
  parts.priors = source.parts().priors;
  parts.ranges = source.parts().ranges;
  parts.parameters = source.parts().parameters;
  merge_ranges(parts.ranges, seen_ranges(data));
  add_primitives(parts, data.primitives);
  if (learnt.more_trees != nullptr) {
    return TrainedModel::create(std::move(parts), std::move(*learnt.more_trees));
  }
  CONVOPT_TRY(auto trees, Booster::deserialize(source.bytes()));
  return TrainedModel::create(std::move(parts), std::move(trees.booster));
}

}  // namespace

Result<Transfer> adapt(const TrainedModel& source, const Profile& target,
                       const TransferOptions& options) {
  if (options.methods.empty()) {
    return make_error(ErrorCode::usage, "no method to adapt the model was asked for");
  }
  const TimingMode mode = source.info().timing_mode;
  const auto made = make_dataset(std::span(&target, 1), mode, source.parts().codes);
  if (!made) {
    return make_error(made.error().code, "the profile holds no times in the model's timing mode, " +
                                             std::string(to_string(mode)));
  }
  const Dataset& data = *made;
  CONVOPT_TRY(const Adapter adapter, Adapter::create(source, data, options.seed));
  const std::vector<std::size_t> rows = data.all_rows();
  CONVOPT_TRY(Comparison comparison, adapter.compare(rows, options));
  CONVOPT_TRY(Learnt learnt, adapter.learn(comparison, rows));

  ModelParts parts;
  parts.info = describe(data, options.seed);
  parts.codes = data.codes;
  parts.platforms = data.platforms;
  parts.method = std::string(to_string(learnt.method)) + " from " + source.info().id;
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
  CONVOPT_TRY(auto model, make_model(source, data, std::move(parts), learnt, options));
  return Transfer{.model = std::move(model),
                  .candidates = std::move(comparison.candidates),
                  .shapes = data.groups.size(),
                  .samples = rows.size()};
}

}  // namespace convopt
