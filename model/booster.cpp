#include "model/booster.h"

#include <xgboost/c_api.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "core/json.h"
#include "core/try.h"

namespace convopt {
namespace {

// The library's messages carry a time stamp, a source line and a stack trace; the cause stands
// between them.
std::string last_error() {
  std::string text = XGBGetLastError();
  text = text.substr(0, text.find("\nStack trace"));
  if (const auto prefix = text.find(": "); prefix != std::string::npos && text.starts_with("[")) {
    text = text.substr(prefix + 2);
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  return text;
}

Error failure(std::string_view what) {
  return make_error(ErrorCode::internal,
                    "xgboost cannot " + std::string(what) + ": " + last_error());
}

// A library must not print; what matters arrives as an error. XGBoost keeps both settings per
// thread.
void silence() {
  thread_local bool done = false;
  if (done) return;
  XGBRegisterLogCallback([](const char*) {});
  XGBSetGlobalConfig("{\"verbosity\": 0}");
  done = true;
}

// The array interface of a matrix that stays where it is.
std::string in_place(const FeatureMatrix& features) {
  return "{\"data\": [" + std::to_string(reinterpret_cast<std::uintptr_t>(features.values.data())) +
         ", true], \"shape\": [" + std::to_string(features.rows()) + ", " +
         std::to_string(features.columns) + "], \"typestr\": \"<f4\", \"version\": 3}";
}

class Matrix {
 public:
  Matrix() = default;
  Matrix(Matrix&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Matrix& operator=(Matrix&&) = delete;
  ~Matrix() {
    if (handle_ != nullptr) XGDMatrixFree(handle_);
  }

  static Result<Matrix> create(const FeatureMatrix& features) {
    silence();
    const char* config = "{\"missing\": NaN, \"nthread\": 1}";
    Matrix matrix;
    if (XGDMatrixCreateFromDense(in_place(features).c_str(), config, &matrix.handle_) != 0) {
      return failure("take the feature matrix");
    }
    return matrix;
  }

  DMatrixHandle get() const { return handle_; }

 private:
  DMatrixHandle handle_ = nullptr;
};

Result<void> check_targets(const FeatureMatrix& features, std::span<const Target> targets) {
  if (features.rows() != targets.size() || targets.empty()) {
    return make_error(ErrorCode::internal, "training needs one target per row of features");
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (!std::isfinite(targets[i].value) || !(targets[i].weight >= 0)) {
      return make_error(ErrorCode::internal,
                        "training row " + std::to_string(i) + " has no finite target");
    }
  }
  for (const float value : features.values) {
    if (std::isinf(value)) {
      return make_error(ErrorCode::internal, "a training feature is infinite");
    }
  }
  return {};
}

/// A booster of the library while it learns.
class Training {
 public:
  Training() = default;
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;
  ~Training() {
    if (handle_ != nullptr) XGBoosterFree(handle_);
  }

  // Squared error, one-sided where the target is a lower bound. The second derivative of rows that
  // pull at nothing is tiny rather than zero, so that a leaf of such rows stays defined.
  Result<void> run(const FeatureMatrix& features, std::span<const Target> targets,
                   const BoosterParameters& parameters) {
    CONVOPT_TRY(const Matrix data, Matrix::create(features));
    const DMatrixHandle matrices[] = {data.get()};
    if (XGBoosterCreate(matrices, 1, &handle_) != 0) return failure("create a model");
    CONVOPT_CHECK(configure(parameters));
    const std::size_t rows = targets.size();
    std::vector<float> gradient(rows), hessian(rows);
    for (int round = 0; round < parameters.rounds; ++round) {
      // The library remembers this matrix's prediction and adds only the newest tree.
      CONVOPT_TRY(const std::span<const float> prediction, predict(data, rows));
      for (std::size_t i = 0; i < rows; ++i) {
        const double error = prediction[i] - targets[i].value;
        const bool silent = targets[i].lower_bound && error > 0;
        gradient[i] = silent ? 0.0F : static_cast<float>(targets[i].weight * error);
        hessian[i] = static_cast<float>(silent ? 1e-6 : targets[i].weight);
      }
      if (XGBoosterBoostOneIter(handle_, data.get(), gradient.data(), hessian.data(), rows) != 0) {
        return failure("train");
      }
    }
    return {};
  }

  Result<std::string> save() const {
    bst_ulong size = 0;
    const char* bytes = nullptr;
    if (XGBoosterSaveModelToBuffer(handle_, "{\"format\": \"ubj\"}", &size, &bytes) != 0) {
      return failure("write the model");
    }
    return std::string(bytes, size);
  }

 private:
  // Belongs to the booster until its next call.
  Result<std::span<const float>> predict(const Matrix& data, std::size_t rows) {
    // A missing key would be an error.
    constexpr const char* kConfig =
        "{\"training\": true, \"type\": 0, \"iteration_begin\": 0, \"iteration_end\": 0, "
        "\"strict_shape\": false}";
    const bst_ulong* shape = nullptr;
    bst_ulong dimensions = 0;
    const float* values = nullptr;
    if (XGBoosterPredictFromDMatrix(handle_, data.get(), kConfig, &shape, &dimensions, &values) !=
        0) {
      return failure("predict");
    }
    if (dimensions != 1 || shape[0] != rows) {
      return make_error(ErrorCode::internal, "xgboost predicted another number of rows than asked");
    }
    return std::span<const float>(values, rows);
  }

  Result<void> set(const char* name, const std::string& value) {
    if (XGBoosterSetParam(handle_, name, value.c_str()) != 0) return failure("set a parameter");
    return {};
  }

  Result<void> configure(const BoosterParameters& p) {
    const std::pair<const char*, std::string> settings[] = {
        {"booster", "gbtree"},
        {"objective", "reg:squarederror"},
        // The default of 0.5 would be added to every prediction.
        {"base_score", "0"},
        // The default depends on the number of rows.
        {"tree_method", "hist"},
        {"max_bin", "256"},
        {"grow_policy", "lossguide"},
        {"max_leaves", std::to_string(p.leaves)},
        {"max_depth", "0"},
        {"eta", std::to_string(p.eta)},
        {"min_child_weight", std::to_string(p.min_child_weight)},
        {"lambda", std::to_string(p.lambda)},
        {"colsample_bytree", std::to_string(p.column_share)},
        {"seed", std::to_string(p.seed & 0x7fffffffU)},
        // Drawing depends on the round alone, not on what else the process trained before.
        {"seed_per_iteration", "true"},
        {"nthread", "1"},
        {"verbosity", "0"},
    };
    for (const auto& [name, value] : settings) {
      if (auto result = set(name, value); !result) return result;
    }
    return {};
  }

  BoosterHandle handle_ = nullptr;
};

/// Content that no version of XGBoost writes, or a kind of model that convopt does not train.
struct Unknown {};

// Values of one tree, as parallel lists of its nodes.
void add_tree(const Json& tree, Trees& trees) {
  const auto left = tree.at("left_children").get<std::vector<std::int64_t>>();
  const auto right = tree.at("right_children").get<std::vector<std::int64_t>>();
  const auto feature = tree.at("split_indices").get<std::vector<std::int64_t>>();
  const auto value = tree.at("split_conditions").get<std::vector<float>>();
  const auto missing_left = tree.at("default_left").get<std::vector<int>>();
  const std::size_t size = left.size();
  if (right.size() != size || feature.size() != size || value.size() != size ||
      missing_left.size() != size) {
    throw Unknown();
  }
  std::vector<TreeNode> nodes;
  for (std::size_t i = 0; i < size; ++i) {
    nodes.push_back({.leaf = left[i] < 0,
                     .value = value[i],
                     .feature = static_cast<std::uint32_t>(feature[i]),
                     .missing_left = missing_left[i] != 0,
                     .left = static_cast<std::uint32_t>(left[i]),
                     .right = static_cast<std::uint32_t>(right[i])});
  }
  if (!trees.add(nodes)) throw Unknown();
}

void add_trees(const Json& learner, Trees& trees) {
  const Json& booster = learner.at("gradient_booster");
  const auto base = learner.at("learner_model_param").at("base_score").get<std::string>();
  if (booster.at("name") != "gbtree" || std::strtod(base.c_str(), nullptr) != 0) throw Unknown();
  for (const Json& tree : booster.at("model").at("trees")) add_tree(tree, trees);
}

/// Shows the learner of a model in UBJSON to `read`, which may throw as Json and add_tree() do.
template <class Read>
Result<void> read_learner(std::string_view bytes, Read&& read) {
  try {
    read(Json::from_ubjson(bytes).at("learner"));
    return {};
  } catch (const Json::exception&) {
  } catch (const Unknown&) {
  }
  return make_error(ErrorCode::bad_input, "is no model of XGBoost that this version can read");
}

}  // namespace

Result<XgboostModel> read_xgboost(std::string_view bytes) {
  XgboostModel model{Trees({}), {}};
  CONVOPT_CHECK(read_learner(bytes, [&](const Json& learner) {
    model.trees = Trees(learner.at("feature_names").get<std::vector<std::string>>());
    add_trees(learner, model.trees);
    learner.at("attributes").get_to(model.attributes);
  }));
  return model;
}

Result<Trees> train_trees(const FeatureMatrix& features, std::span<const Target> targets,
                          std::span<const std::string> feature_names,
                          const BoosterParameters& parameters) {
  Trees trees({feature_names.begin(), feature_names.end()});
  CONVOPT_CHECK(boost(trees, features, {targets.begin(), targets.end()}, parameters));
  return trees;
}

Result<void> boost(Trees& trees, const FeatureMatrix& rows, std::vector<Target> targets,
                   const BoosterParameters& parameters) {
  if (rows.columns != trees.columns()) {
    return make_error(ErrorCode::internal, "trees need the features that they are named after");
  }
  CONVOPT_CHECK(check_targets(rows, targets));
  CONVOPT_TRY(const std::vector<float> before, trees.predict(rows));
  for (std::size_t i = 0; i < targets.size(); ++i) targets[i].value -= before[i];
  silence();
  Training training;
  CONVOPT_CHECK(training.run(trees.features_of(rows), targets, parameters));
  CONVOPT_TRY(const std::string saved, training.save());
  return read_learner(saved, [&](const Json& learner) { add_trees(learner, trees); });
}

std::string xgboost_version() {
  int major = 0, minor = 0, patch = 0;
  XGBoostVersion(&major, &minor, &patch);
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

}  // namespace convopt
