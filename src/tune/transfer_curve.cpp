#include "src/tune/transfer_curve.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "core/timing_key.h"
#include "core/try.h"
#include "model/statistics.h"
#include "src/tune/offline_replay.h"
#include "src/tune/plan_regret.h"
#include "src/tune/sample_selection.h"

namespace convopt {
namespace {

using statistics::mean;

struct Draw {
  std::vector<std::size_t> training, test, networks;  ///< rows
};

// Groups whose shapes are in the set.
std::vector<bool> marked(const Dataset& data, const std::unordered_set<std::string>& shapes) {
  std::vector<bool> result;
  for (const std::string& group : data.groups) result.push_back(shapes.contains(group));
  return result;
}

// Seeded shuffle of the shapes of all operations; the first `count` are learnt from.
std::vector<std::size_t> random_order(const Dataset& data, const std::vector<bool>& left_out,
                                      std::uint64_t seed) {
  std::set<std::size_t> groups;
  for (std::size_t g = 0; g < data.groups.size(); ++g) {
    if (!left_out[g]) groups.insert(g);
  }
  // A fold per group is a seeded order.
  const std::vector<int> place = fold_of_group(data, groups, static_cast<int>(groups.size()), seed);
  std::vector<std::size_t> order(groups.size());
  for (const std::size_t g : groups) order[static_cast<std::size_t>(place[g])] = g;
  return order;
}

// Order in which `transfer` would profile the first half of these shapes. Operations come in the
// order of the profile, which is the sampler's.
std::vector<std::size_t> selected_order(const Dataset& data, std::vector<std::size_t> groups) {
  groups.resize((groups.size() + 1) / 2);
  std::ranges::sort(groups);
  std::map<std::size_t, const Workload*> pool;
  for (const Sample& sample : data.samples) {
    pool.try_emplace(sample.group, &data.workloads[sample.workload]);
  }
  std::vector<Workload> workloads;
  std::map<std::string, std::size_t> group_of;
  for (const std::size_t group : groups) {
    workloads.push_back(*pool.at(group));
    group_of[workloads.back().text()] = group;
  }
  std::vector<std::size_t> order;
  for (const Workload& workload : order_by_representativeness(workloads)) {
    order.push_back(group_of.at(workload.text()));
  }
  return order;
}

Draw draw(const Dataset& data, const std::vector<bool>& left_out, std::size_t count,
          std::uint64_t seed, bool select_samples) {
  std::vector<std::size_t> order = random_order(data, left_out, seed);
  if (select_samples) order = selected_order(data, std::move(order));
  std::vector<bool> chosen(data.groups.size(), false);
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i) chosen[order[i]] = true;
  Draw result;
  for (std::size_t row = 0; row < data.samples.size(); ++row) {
    const std::size_t group = data.samples[row].group;
    (left_out[group] ? result.networks
     : chosen[group] ? result.training
                     : result.test)
        .push_back(row);
  }
  return result;
}

/// Predictions of rows as costs.
class RowCosts final : public CostSource {
 public:
  RowCosts(const Dataset& data, std::span<const std::size_t> rows, std::span<const double> log_ns) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Sample& sample = data.samples[rows[i]];
      const double ns = std::exp(log_ns[i]);
      costs_[{data.workloads[sample.workload].text(), data.primitives[sample.primitive].name}] = {
          Cost::Source::predicted, {ns, ns, ns, false}, {}};
    }
  }
  Result<std::vector<Cost>> costs(std::span<const Query> queries) const override {
    std::vector<Cost> result;
    for (const Query& query : queries) {
      const auto at = costs_.find({query.workload->text(), query.primitive->name});
      result.push_back(at == costs_.end() ? Cost{Cost::Source::unknown, {}, "was not timed"}
                                          : at->second);
    }
    return result;
  }

 private:
  std::unordered_map<TimingKey, Cost> costs_;
};

/// Scores of one draw, on the shapes left and on each network.
struct DrawScores {
  ModelScores shapes;
  std::vector<double> networks;  ///< regrets
};

Result<DrawScores> score_draw(const Adapter& adapter, const PlanRegrets& networks,
                              const AdaptedFit& learnt, const Draw& rows) {
  const Dataset& data = adapter.data();
  // A profile of networks only has no other shapes, so their layers are the test.
  const std::vector<std::size_t>& test = rows.test.empty() ? rows.networks : rows.test;
  CONVOPT_TRY(auto predicted, adapter.predict(learnt, test));
  for (std::size_t i = 0; i < test.size(); ++i) {
    predicted[i] = data.samples[test[i]].log_ns - predicted[i];
  }
  DrawScores result;
  result.shapes = score(data, test, predicted);
  if (networks.networks().empty()) return result;
  CONVOPT_TRY(const auto expected, adapter.predict(learnt, rows.networks));
  const RowCosts costs(data, rows.networks, expected);
  for (std::size_t i = 0; i < networks.networks().size(); ++i) {
    CONVOPT_TRY(const NetworkRegret regret, networks.of_network(i, costs));
    result.networks.push_back(regret.regret);
  }
  return result;
}

/// Scores of all draws.
struct Scores {
  std::vector<double> errors, regrets, spearmans, seconds, profile_seconds;
  std::vector<double> network_regrets;  ///< a draw's mean over networks
  double worst_network = 0;
  std::map<std::string, int> kept;

  void add(const DrawScores& draw) {
    errors.push_back(draw.shapes.mdrae);
    regrets.push_back(draw.shapes.regret);
    spearmans.push_back(draw.shapes.spearman);
    if (draw.networks.empty()) return;
    network_regrets.push_back(mean(draw.networks));
    worst_network = std::max(worst_network, std::ranges::max(draw.networks));
  }
};

CurvePoint point_of(const std::string& method, std::size_t shapes, const Scores& scores) {
  CurvePoint point;
  point.method = method;
  point.shapes = shapes;
  point.error = mean(scores.errors);
  point.spearman = mean(scores.spearmans);
  point.regret = mean(scores.regrets);
  point.worst_error = *std::ranges::max_element(scores.errors);
  point.worst_regret = *std::ranges::max_element(scores.regrets);
  if (!scores.network_regrets.empty()) {
    point.network_regret = mean(scores.network_regrets);
    point.worst_draw_network_regret = std::ranges::max(scores.network_regrets);
    point.worst_network_regret = scores.worst_network;
  }
  point.kept = scores.kept;
  if (!scores.seconds.empty()) point.seconds = mean(scores.seconds);
  point.profile_seconds = mean(scores.profile_seconds);
  return point;
}

// Methods of transfer are compared on the type that all others are corrected from.
Result<Dataset> samples_of_base(const TrainedModel& source, const Profile& target) {
  CONVOPT_TRY(const Dataset all, make_dataset(std::span(&target, 1), source.info().timing_mode,
                                              source.base().parts().codes));
  Dataset own = all.only(source.base_type());
  if (own.samples.empty()) {
    return make_error(ErrorCode::bad_input, "the profile holds no times in " +
                                                std::string(to_string(source.base_type())));
  }
  return own;
}

}  // namespace

Result<Curve> transfer_curve(const TrainedModel& source, const Profile& target,
                             const CurveOptions& options) {
  CONVOPT_TRY(const Dataset data, samples_of_base(source, target));
  if (data.platforms.size() != 1) {
    return make_error(ErrorCode::bad_input, "a transfer curve is of one platform");
  }
  CONVOPT_TRY(const Adapter adapter, Adapter::create(source.base(), data, options.seed));

  const PlanRegrets networks(target, data.platforms.front(), source.info().timing_mode,
                             options.networks);
  const TimingEffort effort(target, data.platforms.front(), source.info().timing_mode);
  const std::vector<bool> left_out = marked(data, networks.shapes());
  const auto pool = static_cast<std::size_t>(std::ranges::count(left_out, false)) /
                    (options.select_samples ? 2 : 1);

  Curve curve;
  curve.networks = networks.networks().size();
  curve.platform = data.platforms.front().id();
  curve.sources = source.info().platforms;
  curve.shapes = static_cast<std::size_t>(std::ranges::count(left_out, false));
  curve.primitives = data.primitives.size();
  curve.draws = options.draws;
  std::vector<std::size_t> sizes;
  for (const std::size_t size : options.shapes) {
    // At least a tenth must be left for the test.
    if (10 * size <= 9 * pool) sizes.push_back(size);
  }
  std::map<std::pair<std::string, std::size_t>, Scores> scores;
  for (const std::size_t size : sizes) {
    // Zero shapes leave nothing to draw.
    for (int d = 0; d < (size == 0 ? 1 : options.draws); ++d) {
      const std::uint64_t seed = options.seed + 1000 * static_cast<std::uint64_t>(d) + size;
      const Draw rows = draw(data, left_out, size, seed, options.select_samples);
      double profile_seconds = 0;
      for (const std::size_t row : rows.training) {
        const Sample& sample = data.samples[row];
        profile_seconds += effort.seconds(
            {data.workloads[sample.workload].text(), data.primitives[sample.primitive].name});
      }
      for (const TransferMethod method : options.methods) {
        if (method == TransferMethod::ensemble) continue;
        if (size == 0 && method != TransferMethod::zero_shot) continue;
        CONVOPT_TRY(const auto learnt, adapter.learn(method, rows.training));
        CONVOPT_TRY(const DrawScores scored, score_draw(adapter, networks, learnt, rows));
        Scores& of_method = scores[{std::string(to_string(method)), size}];
        of_method.add(scored);
        of_method.profile_seconds.push_back(profile_seconds);
      }
      if (size == 0) continue;
      const auto start = std::chrono::steady_clock::now();
      TransferOptions choice;
      choice.seed = seed;
      choice.threads = options.threads;
      choice.methods = options.methods;
      CONVOPT_TRY(const auto comparison, adapter.compare(rows.training, choice));
      CONVOPT_TRY(const auto learnt, adapter.learn(comparison, rows.training));
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      CONVOPT_TRY(const DrawScores scored, score_draw(adapter, networks, learnt, rows));
      Scores& automatic = scores[{kAutomatic, size}];
      automatic.add(scored);
      automatic.seconds.push_back(took.count());
      automatic.profile_seconds.push_back(profile_seconds);
      ++automatic.kept[std::string(to_string(learnt.method))];
    }
  }
  std::vector<std::string> names;
  for (const TransferMethod method : options.methods) names.emplace_back(to_string(method));
  names.emplace_back(kAutomatic);
  for (const std::string& name : names) {
    for (const std::size_t size : sizes) {
      const auto at = scores.find({name, size});
      if (at != scores.end()) curve.points.push_back(point_of(name, size, at->second));
    }
  }
  return curve;
}

}  // namespace convopt
