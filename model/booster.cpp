#include "model/booster.h"

#include <xgboost/c_api.h>

#include <cmath>
#include <limits>
#include <utility>

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

// The part of every prediction's configuration; a missing key would be an error.
constexpr const char* kAllTrees =
    "\"type\": 0, \"iteration_begin\": 0, \"iteration_end\": 0, \"strict_shape\": false";

// What XGBoost returned, which belongs to the booster until its next call.
Result<std::span<const float>> predicted(int status, const bst_ulong* shape, bst_ulong dimensions,
                                         const float* values, std::size_t rows) {
  if (status != 0) return failure("predict");
  if (dimensions != 1 || shape[0] != rows) {
    return make_error(ErrorCode::internal, "xgboost predicted another number of rows than asked");
  }
  return std::span<const float>(values, rows);
}

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

}  // namespace

struct Booster::State {
  BoosterHandle handle = nullptr;
  std::size_t features = 0;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (handle != nullptr) XGBoosterFree(handle);
  }

  Result<void> set(const char* name, const std::string& value) {
    if (XGBoosterSetParam(handle, name, value.c_str()) != 0) return failure("set a parameter");
    return {};
  }

  // A model file keeps trees and attributes, not parameters; they are set before every use.
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

  // Squared error, one-sided where the target is a lower bound. The second derivative of rows that
  // pull at nothing is tiny rather than zero, so that a leaf of such rows stays defined.
  Result<void> boost(const FeatureMatrix& matrix, std::span<const Target> targets,
                     const BoosterParameters& parameters) {
    if (auto checked = check_targets(matrix, targets); !checked) return checked;
    auto data = Matrix::create(matrix);
    if (!data) return data.error();
    if (handle == nullptr) {
      const DMatrixHandle matrices[] = {data->get()};
      if (XGBoosterCreate(matrices, 1, &handle) != 0) return failure("create a model");
    }
    if (auto configured = configure(parameters); !configured) return configured;
    const std::size_t rows = targets.size();
    std::vector<float> gradient(rows), hessian(rows);
    const std::string config = std::string("{\"training\": true, ") + kAllTrees + "}";
    for (int round = 0; round < parameters.rounds; ++round) {
      // The library remembers this matrix's prediction and adds only the newest tree.
      const bst_ulong* shape = nullptr;
      bst_ulong dimensions = 0;
      const float* values = nullptr;
      const int status = XGBoosterPredictFromDMatrix(handle, data->get(), config.c_str(), &shape,
                                                     &dimensions, &values);
      const auto prediction = predicted(status, shape, dimensions, values, rows);
      if (!prediction) return prediction.error();
      for (std::size_t i = 0; i < rows; ++i) {
        const double error = (*prediction)[i] - targets[i].value;
        const bool silent = targets[i].lower_bound && error > 0;
        gradient[i] = silent ? 0.0F : static_cast<float>(targets[i].weight * error);
        hessian[i] = static_cast<float>(silent ? 1e-6 : targets[i].weight);
      }
      if (XGBoosterBoostOneIter(handle, data->get(), gradient.data(), hessian.data(), rows) != 0) {
        return failure("train");
      }
    }
    return {};
  }
};

Booster::Booster(std::unique_ptr<State> state) : state_(std::move(state)) {}
Booster::Booster(Booster&&) noexcept = default;
Booster& Booster::operator=(Booster&&) noexcept = default;
Booster::~Booster() = default;

std::size_t Booster::feature_count() const { return state_->features; }

Result<Booster> Booster::train(const FeatureMatrix& features, std::span<const Target> targets,
                               std::span<const std::string> feature_names,
                               const BoosterParameters& parameters) {
  silence();
  if (feature_names.size() != features.columns) {
    return make_error(ErrorCode::internal, "every feature needs a name");
  }
  auto state = std::make_unique<State>();
  state->features = features.columns;
  if (auto result = state->boost(features, targets, parameters); !result) return result.error();
  std::vector<const char*> names;
  for (const std::string& name : feature_names) names.push_back(name.c_str());
  if (XGBoosterSetStrFeatureInfo(state->handle, "feature_name", names.data(), names.size()) != 0) {
    return failure("store the names of features");
  }
  return Booster(std::move(state));
}

Result<void> Booster::boost(const FeatureMatrix& features, std::span<const Target> targets,
                            const BoosterParameters& parameters) {
  if (features.columns != state_->features) {
    return make_error(ErrorCode::internal, "more trees need the features of the first ones");
  }
  return state_->boost(features, targets, parameters);
}

Result<std::vector<float>> Booster::predict(const FeatureMatrix& features) const {
  // The library fills up missing columns silently.
  if (features.columns != state_->features) {
    return make_error(ErrorCode::internal, "the model was trained on other features");
  }
  if (features.rows() == 0) return std::vector<float>();
  // In place: building the library's own matrix would cost a quarter of the time again, and its
  // cache of predictions by matrix cannot go stale where there is no matrix.
  const std::string config =
      std::string("{\"training\": false, \"missing\": NaN, \"cache_id\": 0, ") + kAllTrees + "}";
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* result = nullptr;
  const int status =
      XGBoosterPredictFromDense(state_->handle, in_place(features).c_str(), config.c_str(), nullptr,
                                &shape, &dimensions, &result);
  const auto values = predicted(status, shape, dimensions, result, features.rows());
  if (!values) return values.error();
  return std::vector<float>(values->begin(), values->end());
}

Result<std::string> Booster::serialize(const std::map<std::string, std::string>& attributes) const {
  for (const auto& [name, value] : attributes) {
    if (XGBoosterSetAttr(state_->handle, name.c_str(), value.c_str()) != 0) {
      return failure("store an attribute");
    }
  }
  bst_ulong size = 0;
  const char* bytes = nullptr;
  if (XGBoosterSaveModelToBuffer(state_->handle, "{\"format\": \"ubj\"}", &size, &bytes) != 0) {
    return failure("write the model");
  }
  return std::string(bytes, size);
}

Result<Booster::Loaded> Booster::deserialize(std::string_view bytes) {
  silence();
  auto state = std::make_unique<State>();
  if (XGBoosterCreate(nullptr, 0, &state->handle) != 0) return failure("create a model");
  if (auto threads = state->set("nthread", "1"); !threads) return threads.error();
  if (XGBoosterLoadModelFromBuffer(state->handle, bytes.data(), bytes.size()) != 0) {
    return make_error(ErrorCode::bad_input, "xgboost cannot read the model: " + last_error());
  }
  bst_ulong count = 0;
  if (XGBoosterGetNumFeature(state->handle, &count) != 0) return failure("count the features");
  state->features = count;

  Loaded loaded{Booster(nullptr), {}, {}};
  const char** texts = nullptr;
  if (XGBoosterGetStrFeatureInfo(state->handle, "feature_name", &count, &texts) != 0) {
    return failure("read the names of features");
  }
  loaded.feature_names.assign(texts, texts + count);
  if (XGBoosterGetAttrNames(state->handle, &count, &texts) != 0) {
    return failure("read the attributes");
  }
  const std::vector<std::string> names(texts, texts + count);
  for (const std::string& name : names) {
    const char* value = nullptr;
    int found = 0;
    if (XGBoosterGetAttr(state->handle, name.c_str(), &value, &found) != 0 || found == 0) {
      return failure("read an attribute");
    }
    loaded.attributes[name] = value;
  }
  loaded.booster = Booster(std::move(state));
  return loaded;
}

std::string xgboost_version() {
  int major = 0, minor = 0, patch = 0;
  XGBoostVersion(&major, &minor, &patch);
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

}  // namespace convopt
