#include "src/tune/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "core/quantisation.h"
#include "core/text.h"
#include "core/try.h"
#include "src/runtime/executor.h"
#include "src/select/select.h"
#include "src/tune/sensitivity.h"

namespace convopt {
namespace {

/// Magnitudes of a tensor's numbers, from zero to the largest. 8 to 16 bins are one step in int8.
constexpr std::size_t kBins = 2048;
constexpr double kPercentile = 0.9999;
/// Largest magnitude of a tensor that has none worth dividing.
constexpr float kNothing = 1e-30F;
/// Sizes of ranges that are tried for the least mean square, as parts of the largest magnitude.
constexpr int kTriedSizes = 100, kLeastTried = 10;

class Distribution {
 public:
  void note_range(std::span<const float> values) {
    for (const float value : values) {
      finite_ = finite_ && std::isfinite(value);
      low_ = std::min(low_, value);
      high_ = std::max(high_, value);
    }
  }
  /// After note_range() of all numbers.
  void note_magnitudes(std::span<const float> values) {
    if (!is_known() || largest() < kNothing) return;
    const float bins = kBins / largest();
    for (const float value : values) {
      if (value == 0) continue;  // most are after many an activation, and all in channel tails
      const auto bin = static_cast<std::size_t>(std::abs(value) * bins);
      ++counts_[std::min(bin, kBins - 1)];
    }
  }

  bool is_known() const { return finite_ && low_ <= high_; }

  TensorRange range(std::string name) const {
    TensorRange result{std::move(name), low_, high_, largest(), largest()};
    std::uint64_t total = 0;
    for (const std::uint64_t count : counts_) total += count;
    if (total == 0) return result;
    const auto end_of = [&](std::size_t bin) {
      return largest() * static_cast<float>(bin + 1) / static_cast<float>(kBins);
    };
    const double wanted = kPercentile * static_cast<double>(total);
    std::uint64_t below = 0;
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      below += counts_[bin];
      if (static_cast<double>(below) < wanted) continue;
      result.percentile = end_of(bin);
      break;
    }
    double least = std::numeric_limits<double>::infinity();
    for (int part = kTriedSizes; part >= kLeastTried; --part) {
      const float size = largest() * (static_cast<float>(part) / kTriedSizes);
      const double squares = squared_errors(size);
      if (squares >= least) continue;
      least = squares;
      result.mse = size;
    }
    return result;
  }

 private:
  float largest() const { return std::max(-low_, high_); }

  /// Sum of what rounding to steps, and cutting off beyond `size`, change.
  double squared_errors(float size) const {
    const DataType type = low_ < 0 ? DataType::s8 : DataType::u8;
    const double step = size / largest_number(type);
    // Of a number that may lie anywhere within its step.
    const double rounding = step * step / 12;
    double sum = 0;
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      if (counts_[bin] == 0) continue;
      const double value = largest() * (static_cast<double>(bin) + 0.5) / kBins;
      const double error = value > size       ? (value - size) * (value - size)
                           : value < step / 2 ? value * value
                                              : rounding;
      sum += error * static_cast<double>(counts_[bin]);
    }
    return sum;
  }

  float low_ = std::numeric_limits<float>::infinity();
  float high_ = -std::numeric_limits<float>::infinity();
  bool finite_ = true;
  std::vector<std::uint64_t> counts_ = std::vector<std::uint64_t>(kBins);
};

class Ranges final : public Observer {
 public:
  Ranges(const Network& network, const Executor& executor)
      : network_(network), executor_(executor), distributions_(network.tensors.size()) {}

  void after_step(std::size_t step, const TensorView& destination) noexcept override {
    if (executor_.steps()[step].is_conversion() || destination.type != DataType::f32) return;
    const auto count = padded_elements(destination.shape, destination.layout);
    note(executor_.values()[executor_.steps()[step].destination].tensor,
         {destination.as<float>(), static_cast<std::size_t>(count)});
  }

  void note(TensorId tensor, std::span<const float> values) {
    if (second_pass) return distributions_[tensor].note_magnitudes(values);
    distributions_[tensor].note_range(values);
  }

  std::vector<TensorRange> take() {
    std::vector<TensorRange> result;
    // A reshaped tensor has the numbers of what it is a view of.
    for (const Operator& op : network_.operators) {
      if (op.kind != OperatorKind::reshape) continue;
      distributions_[op.outputs.front()] = distributions_[op.inputs.front()];
    }
    for (std::size_t t = 0; t < distributions_.size(); ++t) {
      if (distributions_[t].is_known()) {
        result.push_back(distributions_[t].range(network_.tensors[t].name));
      }
    }
    return result;
  }

  bool second_pass = false;

 private:
  const Network& network_;
  const Executor& executor_;
  std::vector<Distribution> distributions_;
};

/// Every tensor is stored, in the network's own type.
Result<std::unique_ptr<Executor>> unfused_executor(const Problem& problem, const Platform& platform,
                                                   const WeightSource& weights,
                                                   std::chrono::duration<double> time_limit) {
  CONVOPT_TRY(const Solution solution, solve(problem, time_limit, [&](int, const Option& option) {
                const bool usable =
                    option.candidate < 0 || !problem.candidates[option.candidate].baseline_only;
                return usable && problem.in_own_types(option) && option.absorbed_through < 0 &&
                       option.pending_out == 0 && !option.in_place;
              }));
  return Executor::create(*problem.network, make_plan(problem, solution, platform),
                          *problem.registry, weights);
}

}  // namespace

Result<Calibration> calibrate(const Network& network, const Registry& registry,
                              const CostSource& costs, const Platform& platform,
                              const WeightSource& weights, std::span<const Buffers> samples,
                              std::chrono::duration<double> time_limit) {
  CONVOPT_TRY(const Problem problem, build_problem(network, registry, costs, {}));
  CONVOPT_TRY(const auto executor, unfused_executor(problem, platform, weights, time_limit));
  Ranges ranges(network, *executor);
  Buffers outputs(network, network.outputs);
  for (const bool second_pass : {false, true}) {
    ranges.second_pass = second_pass;
    for (const Operator& op : network.operators) {
      if (op.kind != OperatorKind::constant) continue;
      if (network.tensors[op.outputs.front()].type != DataType::f32) continue;
      CONVOPT_TRY(const Weights constant, weights.weights(op));
      ranges.note(op.outputs.front(), constant.weights.values());
    }
    for (const Buffers& sample : samples) {
      for (std::size_t i = 0; i < network.inputs.size(); ++i) {
        if (network.tensors[network.inputs[i]].type != DataType::f32) continue;
        ranges.note(network.inputs[i], sample.values(i));
      }
      CONVOPT_CHECK(executor->run(sample.inputs(), outputs.outputs(), &ranges));
    }
  }
  Calibration result;
  result.network = network.name;
  result.network_hash = network.hash();
  result.samples = samples.size();
  result.tensors = ranges.take();
  return result;
}

Result<std::vector<Sensitivity>> sensitivities(
    const Problem& problem, const Platform& platform, const WeightSource& weights,
    std::span<const Buffers> samples, std::chrono::duration<double> time_limit,
    const std::function<void(const std::string&)>& note) {
  const Network& network = *problem.network;
  std::vector<RoundedPlaces> roundings;
  std::string types;
  std::ptrdiff_t runs = 0;
  for (const DataType type : problem.types) {
    // s8 stands for u8, too.
    if (type == DataType::f32 || type == DataType::u8) continue;
    RoundedPlaces places = rounded_places(problem, type);
    // Only weights can be rounded.
    for (std::size_t op = 0; op < network.operators.size(); ++op) {
      if (!is_weighted(network.operators[op])) places.operators[op] = 0;
    }
    const auto count =
        std::ranges::count(places.tensors, 1) + std::ranges::count(places.operators, 1);
    if (count == 0) continue;  // no primitive here would use the type
    runs += count;
    types += (types.empty() ? "" : " and ") + name_of_rounding(type);
    roundings.push_back(std::move(places));
  }
  std::vector<Sensitivity> result;
  if (roundings.empty() || samples.empty()) return result;
  samples = samples.first(std::min(samples.size(), kSensitivitySamples));
  CONVOPT_TRY(const auto executor, unfused_executor(problem, platform, weights, time_limit));
  std::vector<std::vector<std::vector<float>>> exact;
  std::chrono::duration<double, std::nano> of_a_run{};
  for (const Buffers& sample : samples) {
    const auto start = std::chrono::steady_clock::now();
    CONVOPT_TRY(auto outputs, outputs_of(*executor, network, sample));
    of_a_run = std::chrono::steady_clock::now() - start;  // the last one, which is warm
    exact.push_back(std::move(outputs));
  }
  if (note) {
    const double ns = of_a_run.count() * static_cast<double>(runs * std::ssize(samples));
    note("measuring the outputs' sensitivity to every tensor and every layer in " + types +
         ", which takes about " + format_time(ns));
  }
  for (const RoundedPlaces& places : roundings) {
    CONVOPT_TRY(const Sensitivities measured,
                measure_sensitivities(*executor, network, *problem.registry, weights, samples,
                                      exact, places));
    const auto add = [&](Sensitivity::Of of, const std::string& name, const Difference& d) {
      result.push_back({places.type, of, name, d.error, d.cosine});
    };
    for (std::size_t t = 0; t < network.tensors.size(); ++t) {
      if (places.tensors[t] != 0)
        add(Sensitivity::Of::tensor, network.tensors[t].name, measured.tensors[t]);
    }
    for (std::size_t op = 0; op < network.operators.size(); ++op) {
      if (places.operators[op] != 0)
        add(Sensitivity::Of::weights, network.operators[op].name, measured.operators[op]);
    }
  }
  return result;
}

}  // namespace convopt
