#include "src/cli/calibration.h"

#include <utility>

#include "convopt/npy.hpp"
#include "core/text.h"
#include "core/try.h"
#include "src/library/samples.h"

namespace convopt::cli {
namespace {

/// The input that a text is for, and its file.
Result<std::pair<std::size_t, std::string>> find_input(const std::string& option,
                                                       const std::string& text,
                                                       const std::vector<Tensor>& inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string prefix = inputs[i].name + "=";
    if (text.starts_with(prefix)) return std::pair(i, text.substr(prefix.size()));
  }
  if (inputs.size() == 1) return std::pair(std::size_t{0}, text);
  std::vector<std::string> names;
  for (const Tensor& input : inputs) names.push_back(input.name);
  return make_error(ErrorCode::usage, option + " " + text +
                                          " does not say for which input it is (" + listed(names) +
                                          "): give NAME=FILE");
}

}  // namespace

MakeSamples samples_in(const std::string& option, const std::vector<std::string>& files) {
  return [option, files](const Network& network) -> Result<std::vector<Buffers>> {
    const std::vector<Tensor> inputs = network.named_inputs();
    std::vector<SamplesOfInput> samples;
    for (const std::string& text : files) {
      CONVOPT_TRY(const auto found, find_input(option, text, inputs));
      CONVOPT_TRY(NpyArray array, load_npy(found.second));
      samples.push_back({found.first, found.second, std::move(array)});
    }
    return samples_from(samples, option, network);
  };
}

}  // namespace convopt::cli
