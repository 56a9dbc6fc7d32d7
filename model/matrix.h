// Rows of features, dense and row-major, as XGBoost takes them.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace convopt {

struct FeatureMatrix {
  std::size_t columns = 0;
  std::vector<float> values;  ///< NaN: not known

  std::size_t rows() const { return columns == 0 ? 0 : values.size() / columns; }
  std::span<float> row(std::size_t index) { return {values.data() + index * columns, columns}; }
  std::span<const float> row(std::size_t index) const {
    return {values.data() + index * columns, columns};
  }
};

}  // namespace convopt
