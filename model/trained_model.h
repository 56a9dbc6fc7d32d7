// The performance model: a model of f32, the base, and one of every other arithmetic type, which
// corrects what the base expects of that type's primitives. A file of them is read type by type,
// when a type is first asked for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "convopt/model.hpp"
#include "model/deferred.h"
#include "model/type_model.h"

namespace convopt {

struct ModelOfType {
  DataType type = DataType::f32;  ///< one of kArithmeticTypes
  Deferred<TypeModel> model;
};

class TrainedModel final : public PerformanceModel {
 public:
  /// The first model is the base. Computes the identifier from the content.
  static Result<std::unique_ptr<TrainedModel>> create(ModelInfo info,
                                                      std::vector<ModelOfType> models);
  static Result<std::unique_ptr<TrainedModel>> load(const std::filesystem::path& path);
  /// `what` names the file in errors.
  static Result<std::unique_ptr<TrainedModel>> parse(std::string bytes, const std::string& what);

  const ModelInfo& info() const override { return info_; }
  Result<std::vector<Estimate>> predict(std::span<const Query> queries,
                                        const Platform& platform) const override;
  Result<void> save(const std::filesystem::path& path) const override;

  /// Answers for every type that has no model of its own.
  const TypeModel& base() const { return *base_; }
  DataType base_type() const { return models_.front().type; }
  std::span<const ModelOfType> models() const { return models_; }
  /// The file that save() writes.
  const std::string& bytes() const { return *bytes_; }

 private:
  TrainedModel() = default;
  static Result<std::unique_ptr<TrainedModel>> make(ModelInfo info, std::vector<ModelOfType> models,
                                                    std::shared_ptr<const std::string> bytes);

  ModelInfo info_;
  std::vector<ModelOfType> models_;
  const TypeModel* base_ = nullptr;  ///< in the first of `models_`
  std::shared_ptr<const std::string> bytes_;
};

}  // namespace convopt
