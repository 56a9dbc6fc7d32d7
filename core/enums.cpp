// Names of the small enumerations.
#include <array>

#include "convopt/measurement.hpp"
#include "convopt/primitive.hpp"

namespace convopt {

std::string_view to_string(Algorithm algorithm) {
  constexpr std::array<std::string_view, 9> kNames = {
      "unknown", "direct", "gemm", "indirect", "kn2row", "winograd", "fft", "copy", "mec"};
  return kNames[static_cast<std::size_t>(algorithm)];
}

std::string_view to_string(MeasurementStatus status) {
  constexpr std::array<std::string_view, 6> kNames = {"ok",     "censored", "inapplicable",
                                                      "failed", "timeout",  "crashed"};
  return kNames[static_cast<std::size_t>(status)];
}

std::string_view to_string(TimingMode mode) {
  return mode == TimingMode::warm ? "warm" : "cold_weights";
}

const RunHeader* Profile::header(std::string_view run) const {
  for (const auto& header : runs) {
    if (header.run == run) return &header;
  }
  return nullptr;
}

}  // namespace convopt
