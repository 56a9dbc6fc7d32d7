#include "src/library/samples.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"

namespace convopt {
namespace {

constexpr int kRandomSamples = 2;

/// Whether the array is one or several tensors of that shape, one after the other.
bool holds_samples(const std::vector<std::int64_t>& array, const TensorShape& shape) {
  const std::vector<std::int64_t> sizes(shape.sizes().begin(), shape.sizes().end());
  if (array == sizes) return true;
  if (std::ssize(array) == std::ssize(sizes) + 1) {
    return std::equal(sizes.begin(), sizes.end(), array.begin() + 1);
  }
  return !sizes.empty() && array.size() == sizes.size() && array[0] % sizes[0] == 0 &&
         std::equal(sizes.begin() + 1, sizes.end(), array.begin() + 1);
}

std::string text_of(std::span<const int> sizes) {
  std::string text;
  for (const int size : sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

}  // namespace

Result<std::vector<Buffers>> samples_from(const std::vector<SamplesOfInput>& given,
                                          const std::string& option, const Network& network) {
  const std::vector<Tensor> inputs = network.named_inputs();
  std::vector<std::vector<std::vector<float>>> values(inputs.size());  // by input and sample
  for (const auto& [input, source, array] : given) {
    const TensorShape& shape = inputs[input].shape;
    if (!holds_samples(array.shape, shape)) {
      return make_error(ErrorCode::bad_input, source + " does not hold samples of the input " +
                                                  in_quotes(inputs[input].name) + " of " +
                                                  text_of(shape.sizes()));
    }
    if (!std::ranges::all_of(array.values, [](float value) { return std::isfinite(value); })) {
      return make_error(ErrorCode::bad_input, source + " holds numbers that are not finite");
    }
    const auto size = static_cast<std::ptrdiff_t>(shape.elements());
    for (auto at = array.values.begin(); at != array.values.end(); at += size) {
      values[input].emplace_back(at, at + size);
    }
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (values[i].size() == values[0].size() && !values[i].empty()) continue;
    return make_error(ErrorCode::usage, option + " has " + counted(values[i].size(), "sample") +
                                            " for the input " + in_quotes(inputs[i].name) +
                                            " and " + counted(values[0].size(), "sample") +
                                            " for " + in_quotes(inputs[0].name));
  }
  std::vector<Buffers> samples;
  for (std::size_t s = 0; !values.empty() && s < values[0].size(); ++s) {
    // One that is given twice says no more of others than once.
    bool repeats = false;
    for (std::size_t other = 0; other < s && !repeats; ++other) {
      repeats =
          std::ranges::all_of(values, [&](const auto& input) { return input[s] == input[other]; });
    }
    if (repeats) continue;
    Buffers& sample = samples.emplace_back(network, network.inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) sample.set(i, values[i][s]);
  }
  return samples;
}

Result<std::vector<Buffers>> random_samples(const Network& network, std::uint64_t seed) {
  std::vector<Buffers> samples;
  for (std::uint64_t i = 0; i < kRandomSamples; ++i) {
    samples.emplace_back(network, network.inputs).fill_random(seed + i * network.inputs.size());
  }
  return samples;
}

}  // namespace convopt
