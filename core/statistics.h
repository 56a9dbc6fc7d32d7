// Robust statistics of times: noise on a computer has one sign and long tails.
#pragma once

#include <vector>

namespace convopt {

/// Middle value, or the mean of the two middle ones; 0 for none.
double median(std::vector<double> values);

/// Value below which `fraction` of the values lie, without interpolation; 0 for none.
double quantile(std::vector<double> values, double fraction);

/// Median absolute deviation from `center`.
double median_deviation(const std::vector<double>& values, double center);

/// Estimated standard error of the median over the median: what remains uncertain after averaging
/// over all samples. Infinity below three samples.
double relative_uncertainty(const std::vector<double>& values);

}  // namespace convopt
