// Inputs on which ranges and a plan's error are measured.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "convopt/network.hpp"
#include "convopt/npy.hpp"
#include "src/runtime/buffers.h"

namespace convopt {

/// Samples for one input: of its shape, or several such along the first dimension or a new one.
struct SamplesOfInput {
  std::size_t input = 0;  ///< index into Network::inputs
  std::string source;     ///< where they come from, as errors name it
  NpyArray array;
};

/// The samples that differ. An input without samples is an error; all inputs have as many. `option`
/// is named by errors.
Result<std::vector<Buffers>> samples_from(const std::vector<SamplesOfInput>& given,
                                          const std::string& option, const Network& network);

/// Two of them.
Result<std::vector<Buffers>> random_samples(const Network& network, std::uint64_t seed);

}  // namespace convopt
