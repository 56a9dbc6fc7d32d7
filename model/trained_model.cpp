#include "model/trained_model.h"

#include <cmath>
#include <utility>

#include "core/files.h"
#include "core/try.h"
#include "model/model_file.h"

namespace convopt {

Result<std::unique_ptr<TrainedModel>> TrainedModel::make(ModelInfo info,
                                                         std::vector<ModelOfType> models,
                                                         std::shared_ptr<const std::string> bytes) {
  std::unique_ptr<TrainedModel> model(new TrainedModel);
  CONVOPT_TRY(model->base_, models.front().model.get());
  model->info_ = std::move(info);
  model->models_ = std::move(models);
  model->bytes_ = std::move(bytes);
  return model;
}

Result<std::unique_ptr<TrainedModel>> TrainedModel::create(ModelInfo info,
                                                           std::vector<ModelOfType> models) {
  CONVOPT_TRY(std::string bytes, write_model(info, models));
  return make(std::move(info), std::move(models),
              std::make_shared<const std::string>(std::move(bytes)));
}

Result<std::unique_ptr<TrainedModel>> TrainedModel::parse(std::string bytes,
                                                          const std::string& what) {
  const auto shared = std::make_shared<const std::string>(std::move(bytes));
  CONVOPT_TRY(ModelContent content, read_model(shared, what));
  return make(std::move(content.info), std::move(content.models), shared);
}

Result<std::unique_ptr<TrainedModel>> TrainedModel::load(const std::filesystem::path& path) {
  CONVOPT_TRY(std::string bytes, read_file(path));
  return parse(std::move(bytes), "model '" + path.string() + "'");
}

Result<void> TrainedModel::save(const std::filesystem::path& path) const {
  return write_file_atomically(path, *bytes_);
}

Result<std::vector<Estimate>> TrainedModel::predict(std::span<const Query> queries,
                                                    const Platform& platform) const {
  CONVOPT_TRY(std::vector<Estimate> estimates, base_->predict(queries, platform));
  for (const ModelOfType& other : std::span(models_).subspan(1)) {
    std::vector<std::size_t> places;
    std::vector<Query> own;
    std::vector<double> expected;
    for (std::size_t i = 0; i < queries.size(); ++i) {
      if (arithmetic_type(*queries[i].primitive) != other.type) continue;
      places.push_back(i);
      own.push_back(queries[i]);
      expected.push_back(std::log(estimates[i].ns));
    }
    if (own.empty()) continue;
    CONVOPT_TRY(const TypeModel* const model, other.model.get());
    CONVOPT_TRY(const std::vector<Estimate> corrected, model->predict(own, platform, expected));
    for (std::size_t i = 0; i < places.size(); ++i) estimates[places[i]] = corrected[i];
  }
  return estimates;
}

Result<std::unique_ptr<PerformanceModel>> load_model(const std::filesystem::path& path) {
  auto model = TrainedModel::load(path);
  if (!model) return model.error();
  return std::unique_ptr<PerformanceModel>(std::move(*model));
}

}  // namespace convopt
