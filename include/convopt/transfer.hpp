// Trains performance models, adapts them to this machine, and evaluates them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "convopt/error.hpp"
#include "convopt/measurement.hpp"
#include "convopt/platform.hpp"
#include "convopt/profiling.hpp"
#include "convopt/tensor.hpp"

namespace convopt {

/// How good predictions are on shapes that were held out.
struct ModelScores {
  double mdrae = 0;  ///< median of |predicted - measured| / measured
  double within_10_percent = 0;
  double spearman = 0;
  double regret = 0;  ///< time of the predicted best over time of the best, summed
};

struct TrainingSettings {
  std::vector<std::filesystem::path> profiles;  ///< of one or several platforms
  /// The model to write; empty: the own model of the profiles' platform, of which there is one
  /// then.
  std::filesystem::path output;
  /// Only times in this mode are learnt from; nothing: the profiles' own, which have one then.
  std::optional<TimingMode> timing_mode;
  /// A model that keeps what it has learnt of f32, and of types that the profiles do not hold: only
  /// the others are trained, as corrections of it. Empty: all is learnt from the profiles.
  std::filesystem::path base;
  std::uint64_t seed = 1;  ///< of folds and trees
  Messages messages;
};

struct TrainingReport {
  /// Of the times of primitives that multiply in one type.
  struct OfType {
    DataType type = DataType::f32;
    std::size_t samples = 0;
    ModelScores scores;
  };
  std::string model_id;
  std::filesystem::path model;  ///< the file
  std::vector<std::string> platforms;
  std::size_t samples = 0, workloads = 0, primitives = 0;
  ModelScores scores;
  double interval_coverage = 0;  ///< share of the 90 % intervals that hold the time
  std::vector<OfType> types;     ///< f32 first
};

/// Trains a model on all times of some profiles, on all processors that this process may use. Takes
/// from seconds to minutes, by the number of times. Measures nothing. Fails with `bad_input` for
/// profiles without times to learn from.
Result<TrainingReport> train_model(const TrainingSettings& settings);

struct TransferSettings {
  Isa isa = default_isa();
  int threads = default_threads();
  std::filesystem::path from;     ///< model to start from; empty: the shipped one
  std::filesystem::path profile;  ///< times to adapt to; empty: measures them
  std::filesystem::path output;   ///< the model to write; empty: this machine's own
  /// Half of the time goes to primitives that could change the plans of these.
  std::vector<std::filesystem::path> networks;
  double budget = 30;  ///< seconds of measuring
  std::uint64_t seed = 1;
  Messages messages;
  Watch watch;
};

struct TransferReport {
  struct Method {
    std::string name, description;
    ModelScores scores;
    double loss = 0;  ///< decides: mean error, weighted towards each shape's fastest primitives
    bool chosen = false;
  };
  std::string platform, model_id;
  /// The file of the model; empty: the source is as good on shapes held out, or too few shapes were
  /// timed to tell, and no output was asked for, so nothing was written.
  std::filesystem::path model;
  std::filesystem::path profile;
  double seconds = 0;  ///< of measuring
  std::size_t shapes = 0, samples = 0;
  std::vector<Method> methods;
};

/// Measures this machine for a while, into its own profile, adapts a model to the times, and writes
/// the model where planning finds it, if it is better than the one that it started from. Stores the
/// machine's peak and bandwidths, too. Fails with `partial` if the budget ended before anything was
/// timed, with `environment` while another transfer measures for this user.
Result<TransferReport> transfer_model(const TransferSettings& settings);

/// Removes this machine's own model, so that plans are made by the shipped one again. Returns the
/// file, or an empty path if there was none. Times that were measured stay.
Result<std::filesystem::path> forget_transfer(Isa isa = default_isa(),
                                              int threads = default_threads());

/// Regrets of single workloads: the measured time of the primitive with the lowest prediction over
/// that of the fastest one, over all layouts.
struct RegretSummary {
  double mean = 1, p95 = 1, max = 1;
  double sum = 1;  ///< sum of chosen over sum of best times: large layers count more
  std::size_t workloads = 0;
};

struct PrimitiveError {
  std::string name;
  double mdrae = 0;
  std::size_t samples = 0;
};

struct NetworkRegret {
  std::string name;
  double regret = 1;  ///< chosen over optimum, with conversions and all other operators
  double optimum_ms = 0, chosen_ms = 0;
  bool optimal = true;  ///< all problems were solved to proven optimality
  /// After `select --refine`, replayed with the profile's times.
  struct Refined {
    double regret = 1, ms = 0;
    double seconds = 0;     ///< estimated time that measuring would have taken
    std::size_t timed = 0;  ///< number of pairs of primitive and workload
    bool settled = false;   ///< refinement ended before its time was over
  };
  std::optional<Refined> refined;
};

struct Evaluation {
  Platform platform;
  std::string model;
  std::size_t samples = 0;
  double mdrae = 0, within_10_percent = 0, spearman = 0, interval_coverage = 0;
  RegretSummary regret;
  std::vector<NetworkRegret> networks;
  std::vector<PrimitiveError> primitives;  ///< largest error first
  std::vector<std::string> skipped;        ///< networks, each with the reason
};

struct EvaluationSettings {
  /// A performance model, or an earlier profile of the same platform, which shows the noise floor.
  std::filesystem::path model;
  std::filesystem::path profile;
  /// Empty: the shipped ones of which the profile holds all times.
  std::vector<std::filesystem::path> networks;
  std::string platform;  ///< empty: that with the most times
  double refine = 0;     ///< seconds; also refines the plans, with the profile's times
  Messages messages;
};

/// How good a model's predictions are, by measured times. Measures nothing.
Result<Evaluation> evaluate_model(const EvaluationSettings& settings);

}  // namespace convopt
