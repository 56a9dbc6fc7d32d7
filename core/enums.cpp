// Names of the small enumerations.
#include "convopt/measurement.hpp"
#include "convopt/primitive.hpp"

namespace convopt {

// No default: the compiler names a value that has none.
std::string_view to_string(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::unknown:
      return "unknown";
    case Algorithm::direct:
      return "direct";
    case Algorithm::gemm:
      return "gemm";
    case Algorithm::indirect:
      return "indirect";
    case Algorithm::kn2row:
      return "kn2row";
    case Algorithm::winograd:
      return "winograd";
    case Algorithm::fft:
      return "fft";
    case Algorithm::copy:
      return "copy";
    case Algorithm::mec:
      return "mec";
  }
  return {};
}

std::string_view to_string(MeasurementStatus status) {
  switch (status) {
    case MeasurementStatus::ok:
      return "ok";
    case MeasurementStatus::censored:
      return "censored";
    case MeasurementStatus::inapplicable:
      return "inapplicable";
    case MeasurementStatus::failed:
      return "failed";
    case MeasurementStatus::timeout:
      return "timeout";
    case MeasurementStatus::crashed:
      return "crashed";
  }
  return {};
}

std::string_view to_string(TimingMode mode) {
  switch (mode) {
    case TimingMode::warm:
      return "warm";
    case TimingMode::cold_weights:
      return "cold_weights";
  }
  return {};
}

const RunHeader* Profile::header(std::string_view run) const {
  for (const auto& header : runs) {
    if (header.run == run) return &header;
  }
  return nullptr;
}

}  // namespace convopt
