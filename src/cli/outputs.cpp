#include "src/cli/outputs.h"

#include <filesystem>
#include <vector>

#include "core/files.h"
#include "core/text.h"
#include "core/try.h"

namespace convopt::cli {
namespace {

namespace fs = std::filesystem;

/// One value of an option.
struct Argument {
  std::string option, type, text;

  bool is_output() const { return type == kOutputType || type == kTextOutputType; }
};

/// What follows NAME=, if there is a name, which has no slash.
std::string after_name(const std::string& text) {
  const auto equals = text.find('=');
  return equals == std::string::npos || text.find('/') < equals ? text : text.substr(equals + 1);
}

/// Devices and pipes may be written to more than once.
bool is_same_file(const fs::path& one, const fs::path& other) {
  std::error_code error;
  if (fs::is_regular_file(one, error)) return fs::equivalent(one, other, error) && !error;
  return !fs::exists(one, error) && fs::weakly_canonical(fs::absolute(one), error) ==
                                        fs::weakly_canonical(fs::absolute(other), error);
}

}  // namespace

Result<void> check_outputs(const CLI::App& verb, bool replaces_input) {
  std::vector<Argument> outputs, others;
  for (const CLI::Option* option : verb.get_options()) {
    for (const std::string& value : option->results()) {
      const Argument argument{option->get_name(), option->get_type_name(), value};
      (argument.is_output() ? outputs : others).push_back(argument);
    }
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto& [option, type, text] = outputs[i];
    const std::string file = after_name(text);
    if (file.empty()) return make_error(ErrorCode::usage, option + " names no file");
    if (file == "-" && type == kTextOutputType) continue;
    if (file == "-")
      return make_error(ErrorCode::usage, option + " writes to no standard output, only to files");
    for (std::size_t j = 0; j < i; ++j) {
      if (is_same_file(file, after_name(outputs[j].text)))
        return make_error(ErrorCode::usage, in_quotes(file) + " would be written twice, by " +
                                                outputs[j].option + " and by " + option);
    }
    for (const Argument& other : others) {
      if (replaces_input) break;
      if (is_same_file(file, other.text) || is_same_file(file, after_name(other.text)))
        return make_error(ErrorCode::usage,
                          in_quotes(file) + " is read, so " + option + " must not overwrite it");
    }
    CONVOPT_CHECK(check_writable(file));
  }
  return {};
}

}  // namespace convopt::cli
