// Images at places between their elements.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "primitives/reference/plain.h"

namespace convopt::reference {
namespace {

/// The element of a row that the border makes visible at `at`; -1 for a zero.
int visible(double at, int size, Border border) {
  if (border == Border::zeros) return at >= 0 && at < size ? static_cast<int>(at) : -1;
  if (border == Border::nearest) return static_cast<int>(std::clamp(at, 0.0, size - 1.0));
  // Mirrors on both sides repeat the row and its image for ever.
  const int period = border == Border::mirrored_edges ? 2 * size : std::max(2 * size - 2, 1);
  const int place = static_cast<int>(at - period * std::floor(at / period));
  const int back = border == Border::mirrored_edges ? period - 1 - place : period - place;
  return place < size ? place : back;
}

/// Keys' cubic with the parameter -3/4, at a distance.
double cubic(double x) {
  constexpr double kA = -0.75;
  x = std::abs(x);
  if (x <= 1) return (kA + 2) * x * x * x - (kA + 3) * x * x + 1;
  return x < 2 ? kA * x * x * x - 5 * kA * x * x + 8 * kA * x - 4 * kA : 0;
}

double factor(double distance, int window) {
  if (window == 1) return 1;
  return window == 2 ? 1 - std::abs(distance) : cubic(distance);
}

/// The first of the elements that a place is made of.
double first_element(double place, int window) {
  if (window == 1) return std::nearbyint(place);
  return std::floor(place) - (window == 4 ? 1 : 0);
}

/// The value between elements, at most one beyond the image; what each of the four adds.
std::array<double, 4> contributions(const Tensor& in, Index at, double row, double column) {
  const int height = in.shape[2], width = in.shape[3];
  if (!(row >= -1 && row <= height && column >= -1 && column <= width)) return {};
  row = std::clamp(row, 0.0, height - 1.0);
  column = std::clamp(column, 0.0, width - 1.0);
  std::array<double, 4> values;
  for (std::size_t k = 0; k < 4; ++k) {
    const double y = std::floor(row) + (k < 2 ? 0 : 1), x = std::floor(column) + double(k % 2);
    at[2] = static_cast<int>(std::min(y, height - 1.0));
    at[3] = static_cast<int>(std::min(x, width - 1.0));
    values[k] = (1 - std::abs(row - y)) * (1 - std::abs(column - x)) * in.at(at);
  }
  return values;
}

int places_of(double share, int window, int size) {
  if (window > 0) return window;
  return share > 0 ? static_cast<int>(std::min(std::ceil(share), size + 1.0)) : 0;
}

}  // namespace

void grid_sample(const Workload& workload, const Tensor& in, const Tensor& grid, Tensor& result) {
  const auto border = static_cast<Border>(workload.border);
  const int window = workload.window;
  for_each_element(result.shape, [&](const Index& index) {
    const double column = grid.at({index[0], index[2], index[3], 0});
    const double row = grid.at({index[0], index[2], index[3], 1});
    double& sum = result.at(index);
    sum = 0;
    if (std::isnan(column) || std::isnan(row)) {
      sum = std::numeric_limits<double>::quiet_NaN();
      return;
    }
    const double top = first_element(row, window), left = first_element(column, window);
    for (int i = 0; i < window; ++i) {
      for (int j = 0; j < window; ++j) {
        const int y = visible(top + i, in.shape[2], border);
        const int x = visible(left + j, in.shape[3], border);
        const double both = factor(row - top - i, window) * factor(column - left - j, window);
        // An infinity beside the place does not count.
        if (y >= 0 && x >= 0 && both != 0) sum += both * in.at({index[0], index[1], y, x});
      }
    }
  });
}

void roi(const Workload& workload, const Tensor& in, const Tensor& regions, const Tensor& images,
         Tensor& result) {
  const bool largest = workload.op == Op::roi_maximum;
  for_each_element(result.shape, [&](const Index& index) {
    const int region = index[0];
    const auto corner = [&](int i) { return regions.at({region, i}); };
    const double height = (corner(3) - corner(1)) / workload.factors[0];
    const double width = (corner(2) - corner(0)) / workload.factors[1];
    const int rows = places_of(height, workload.window, in.shape[2]);
    const int columns = places_of(width, workload.window, in.shape[3]);
    const double image = images.at({region});
    const int number = std::isnan(image)
                           ? 0
                           : static_cast<int>(std::clamp(image < 0 ? image + in.shape[0] : image,
                                                         0.0, in.shape[0] - 1.0));
    double& value = result.at(index);
    value = largest && rows * columns > 0 ? -std::numeric_limits<double>::infinity() : 0;
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) {
        const double row = corner(1) + index[2] * height + (i + 0.5) * height / rows;
        const double column = corner(0) + index[3] * width + (j + 0.5) * width / columns;
        for (const double part : contributions(in, {number, index[1]}, row, column)) {
          value = !largest ? value + part : value > part || std::isnan(value) ? value : part;
        }
      }
    }
    if (!largest) value /= std::max(rows * columns, 1);
  });
}

}  // namespace convopt::reference
