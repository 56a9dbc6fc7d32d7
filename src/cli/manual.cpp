// Man pages and completions of shells, made from the parser itself, so that they never lag behind.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/files.h"
#include "core/text.h"
#include "core/try.h"
#include "model/transfer_method.h"
#include "primitives/families.h"
#include "src/cli/cli.h"
#include "src/cli/outputs.h"

namespace convopt::cli {
namespace {

namespace fs = std::filesystem;

/// Those that users see, in the order of --help.
std::vector<const CLI::App*> shown_verbs(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* verb) { return !verb->get_group().empty(); });
}

std::vector<const CLI::Option*> shown_options(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return !option->get_group().empty(); });
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

/// Names of families and operations do not depend on what this processor can run.
std::vector<std::string> names_of_type(const std::string& type) {
  std::vector<std::string> names;
  if (type == kFamilyType) {
    names = convolution_families();
    names.emplace_back("onednn");
  } else if (type == kOperationType) {
    for (int op = 0; op < kOpCount; ++op) names.emplace_back(to_string(static_cast<Op>(op)));
  } else if (type == kMethodType) {
    for (const TransferMethod method : kTransferMethods) names.emplace_back(to_string(method));
  }
  return names;
}

/// The words that a value may be, of which the type tells: `FAMILY`, `f32|bf16` or
/// `TEXT:{max,mse}`.
std::vector<std::string> choices_of(const CLI::Option& option) {
  std::string type = option.get_type_name();
  if (auto names = names_of_type(type); !names.empty()) return names;
  char separator = '|';
  if (const auto brace = type.find('{'); brace != std::string::npos) {
    separator = ',';
    type = type.substr(brace + 1, type.find('}', brace) - brace - 1);
  }
  std::vector<std::string> words;
  for (const auto word : split(type, separator)) {
    const bool is_word = std::ranges::none_of(word, [](unsigned char letter) {
      return std::isspace(letter) || std::isupper(letter) || letter == '-';
    });
    if (is_word && !word.empty()) words.emplace_back(word);
  }
  return words;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

/// Values are files unless they have a type of their own. `TEXT` is the parser's for all others.
bool takes_file(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return takes_value(option) && (type == "TEXT" || type == kOutputType || type == kTextOutputType);
}

bool takes_list(const CLI::Option& option) { return option.get_delimiter() == ','; }

std::string first_sentence(const std::string& text) { return text.substr(0, text.find(". ")); }

// --- man pages

/// Text that roff prints as it is.
std::string roff(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool begins_line = result.empty() || result.back() == '\n';
    if (begins_line && (c == '.' || c == '\'')) result += "\\&";
    result += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
  }
  return result;
}

std::string bold(const std::string& text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + roff(text) + "\\fR"; }

std::string option_text(const CLI::Option& option) {
  std::string names;
  if (option.get_positional()) {
    names = italic(option.get_name());
  } else {
    for (const std::string& name : option.get_snames())
      names += (names.empty() ? "" : ", ") + bold("-" + name);
    for (const std::string& name : option.get_lnames())
      names += (names.empty() ? "" : ", ") + bold("--" + name);
    if (takes_value(option) && !option.get_type_name().empty())
      names += " " + italic(option.get_type_name());
  }
  std::string text = ".TP\n" + names + "\n" + roff(option.get_description()) + "\n";
  if (const std::string value = option.get_default_str(); !value.empty())
    text += "Default: " + roff(value) + ".\n";
  return text;
}

std::string page_head(const std::string& name, const std::string& purpose) {
  std::string title = name;
  std::ranges::transform(title, title.begin(), [](unsigned char letter) {
    return static_cast<char>(std::toupper(letter));
  });
  return ".TH " + title + " 1 \"\" \"convopt " CONVOPT_VERSION "\" \"convopt\"\n.SH NAME\n" + name +
         " \\- " + roff(purpose) + "\n";
}

/// How a verb is called, and what its arguments and options mean.
struct VerbText {
  std::string synopsis, arguments, options;
};

VerbText text_of(const CLI::App& verb, const std::string& name) {
  VerbText text;
  text.synopsis = bold(name);
  for (const CLI::Option* option : shown_options(verb)) {
    if (!option->get_positional()) {
      text.options += option_text(*option);
      continue;
    }
    const std::string argument = italic(option->get_name());
    text.synopsis += option->get_required() ? " " + argument : " [" + argument + "]";
    text.arguments += option_text(*option);
  }
  text.synopsis += " [" + italic("options") + "]\n";
  return text;
}

std::string verb_page(const CLI::App& verb) {
  const std::string name = "convopt " + verb.get_name();
  const std::string head =
      page_head("convopt-" + verb.get_name(), first_sentence(verb.get_description())) +
      ".SH SYNOPSIS\n";
  const std::string end = ".SH SEE ALSO\n.BR convopt (1)\n";
  if (const auto parts = shown_verbs(verb); !parts.empty()) {
    std::string synopsis, sections;
    for (const CLI::App* part : parts) {
      const VerbText text = text_of(*part, name + " " + part->get_name());
      synopsis += (synopsis.empty() ? "" : ".br\n") + text.synopsis;
      sections += ".SH " + roff(part->get_name()) + "\n" + roff(part->get_description()) + "\n" +
                  text.arguments + text.options;
    }
    return head + synopsis + ".SH DESCRIPTION\n" + roff(verb.get_description()) + "\n" + sections +
           end;
  }
  const VerbText text = text_of(verb, name);
  return head + text.synopsis + ".SH DESCRIPTION\n" + roff(verb.get_description()) + "\n" +
         (text.arguments.empty() ? "" : ".SH ARGUMENTS\n" + text.arguments) + ".SH OPTIONS\n" +
         text.options + end;
}

std::string main_page(const CLI::App& app) {
  std::string verbs, options;
  for (const CLI::App* verb : shown_verbs(app)) {
    verbs += ".TP\n\\fB" + roff("convopt-" + verb->get_name()) + "\\fR(1)\n" +
             roff(verb->get_description()) + "\n";
  }
  for (const CLI::Option* option : shown_options(app)) options += option_text(*option);
  return page_head("convopt", "fast convolutional networks on CPUs") + ".SH SYNOPSIS\n" +
         bold("convopt") + " " + italic("verb") + " [" + italic("options") +
         "]\n.SH DESCRIPTION\n" + roff(app.get_description()) + "\n.SH VERBS\n" + verbs +
         ".SH OPTIONS\n" + options +
         ".SH EXIT STATUS\n"
         "0 done, 1 internal error, 2 wrong usage, 3 bad input file, 4 environment (unwritable "
         "output, wrong machine), 5 partial result, 6 verification failed, 130 interrupted.\n"
         ".SH ENVIRONMENT\n"
         ".TP\n\\fBXDG_DATA_HOME\\fR\nProfiles, models and rates of this machine are kept in its "
         "folder convopt. Default: ~/.local/share.\n"
         ".TP\n\\fBCONVOPT_ISA\\fR\nInstruction-set level where \\fB\\-\\-isa\\fR does not say.\n"
         ".TP\n\\fBCONVOPT_DATA_DIR\\fR\nFolder of the shipped model and networks.\n"
         ".TP\n\\fBSPDLOG_LEVEL\\fR\nwarn silences notes, off warnings, too.\n"
         ".TP\n\\fBNO_COLOR\\fR\nNotes and warnings have no colours.\n";
}

// --- completions

/// Options of a verb and of its parts, each name once.
std::vector<const CLI::Option*> all_options(const CLI::App& app, bool with_parts) {
  std::vector<const CLI::Option*> options = shown_options(app);
  if (!with_parts) return options;
  for (const CLI::App* part : shown_verbs(app)) {
    for (const CLI::Option* option : shown_options(*part)) {
      const bool known = std::ranges::any_of(options, [&](const CLI::Option* other) {
        return other->get_lnames() == option->get_lnames();
      });
      if (!known) options.push_back(option);
    }
  }
  return options;
}

std::string words_of(const CLI::App& app, bool with_parts) {
  std::string words;
  for (const CLI::Option* option : all_options(app, with_parts)) {
    for (const std::string& name : option->get_lnames())
      words += (words.empty() ? "--" : " --") + name;
  }
  return words;
}

std::string names_of(const std::vector<const CLI::App*>& verbs) {
  std::string names;
  for (const CLI::App* verb : verbs) names += (names.empty() ? "" : " ") + verb->get_name();
  return names;
}

std::string bash_completion(const CLI::App& app) {
  std::string verbs, cases, choices;
  for (const CLI::App* verb : shown_verbs(app)) {
    verbs += verb->get_name() + " ";
    cases += "    " + verb->get_name() + ") words='" + words_of(*verb, true) + "' parts='" +
             names_of(shown_verbs(*verb)) + "' ;;\n";
    for (const CLI::Option* option : all_options(*verb, true)) {
      if (!takes_value(*option) || takes_file(*option)) continue;
      const std::string words = joined(choices_of(*option));
      for (const std::string& name : option->get_lnames()) {
        choices +=
            "    '" + verb->get_name() + " --" + name + "') is_file= choices='" + words + "' ;;\n";
      }
    }
  }
  return "# bash completion of convopt, made by convopt itself\n"
         "_convopt() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} words= parts= choices= is_file=yes before=\n"
         "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
         "    COMPREPLY=($(compgen -W '" +
         verbs + words_of(app, false) +
         "' -- \"$cur\"))\n"
         "    return\n"
         "  fi\n"
         "  case ${COMP_WORDS[1]} in\n" +
         cases +
         "  esac\n"
         "  case \"${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}\" in\n" +
         choices +
         "  esac\n"
         "  if [ -z \"$is_file\" ]; then\n"
         "    # The last one of a list.\n"
         "    [[ $cur == *,* ]] && before=${cur%,*},\n"
         "    COMPREPLY=($(compgen -P \"$before\" -W \"$choices\" -- \"${cur##*,}\"))\n"
         "  elif [ \"$COMP_CWORD\" -eq 2 ] && [ -n \"$parts\" ]; then\n"
         "    COMPREPLY=($(compgen -W \"$parts\" -- \"$cur\"))\n"
         "  elif [[ $cur == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "  else\n"
         "    local IFS=$'\\n'\n"
         "    COMPREPLY=($(compgen -f -- \"$cur\"))\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _convopt convopt\n";
}

/// In single quotes, without characters that mean something to completion functions.
std::string quoted_for_shell(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'' || c == '[' || c == ']' || c == ':' || c == '\\') {
      result += c == '\'' ? "" : " ";
    } else {
      result += c;
    }
  }
  return result + "'";
}

std::string zsh_completion(const CLI::App& app) {
  std::string verbs, cases;
  for (const CLI::App* verb : shown_verbs(app)) {
    const std::string purpose = quoted_for_shell(first_sentence(verb->get_description()));
    verbs += "    '" + verb->get_name() + ":" + purpose.substr(1) + "\n";
    cases += "    " + verb->get_name() + ") _arguments '*:file:_files'";
    if (const auto parts = shown_verbs(*verb); !parts.empty())
      cases += " '1:part:(" + names_of(parts) + ")'";
    for (const CLI::Option* option : all_options(*verb, true)) {
      const std::string help = quoted_for_shell(first_sentence(option->get_description()));
      for (const std::string& name : option->get_lnames()) {
        cases += " \\\n      '--" + name + "[" + help.substr(1, help.size() - 2) + "]" +
                 (!takes_value(*option)         ? ""
                  : takes_file(*option)         ? ":file:_files"
                  : choices_of(*option).empty() ? ":value: "
                  : takes_list(*option) ? ":value:_values -s , value " + joined(choices_of(*option))
                                        : ":value:(" + joined(choices_of(*option)) + ")") +
                 "'";
      }
    }
    cases += " ;;\n";
  }
  return "#compdef convopt\n# zsh completion of convopt, made by convopt itself\n"
         "_convopt() {\n  local -a verbs=(\n" +
         verbs +
         "  )\n  if (( CURRENT == 2 )); then\n    _describe verb verbs\n    return\n  fi\n"
         "  local verb=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $verb in\n" +
         cases + "  esac\n}\n_convopt \"$@\"\n";
}

std::string fish_completion(const CLI::App& app) {
  std::string text = "# fish completion of convopt, made by convopt itself\n";
  for (const CLI::App* verb : shown_verbs(app)) {
    text += "complete -c convopt -n __fish_use_subcommand -f -a " + verb->get_name() + " -d " +
            quoted_for_shell(first_sentence(verb->get_description())) + "\n";
    if (const auto parts = shown_verbs(*verb); !parts.empty()) {
      text += "complete -c convopt -n '__fish_seen_subcommand_from " + verb->get_name() + "' -a '" +
              names_of(parts) + "'\n";
    }
    for (const CLI::Option* option : all_options(*verb, true)) {
      for (const std::string& name : option->get_lnames()) {
        text += "complete -c convopt -n '__fish_seen_subcommand_from " + verb->get_name() +
                "' -l " + name +
                (!takes_value(*option)         ? ""
                 : takes_file(*option)         ? " -r"
                 : choices_of(*option).empty() ? " -x"
                                               : " -x -a '" + joined(choices_of(*option)) + "'") +
                " -d " + quoted_for_shell(first_sentence(option->get_description())) + "\n";
      }
    }
  }
  return text;
}

/// Where the files belong below a prefix's `share`.
Result<void> write_manual(const CLI::App& app, const fs::path& folder) {
  const auto write = [&](const fs::path& name, const std::string& content) -> Result<void> {
    std::error_code error;
    fs::create_directories((folder / name).parent_path(), error);
    return write_file_atomically(folder / name, content);
  };
  CONVOPT_CHECK(write("man/man1/convopt.1", main_page(app)));
  for (const CLI::App* verb : shown_verbs(app))
    CONVOPT_CHECK(write("man/man1/convopt-" + verb->get_name() + ".1", verb_page(*verb)));
  CONVOPT_CHECK(write("bash-completion/completions/convopt", bash_completion(app)));
  CONVOPT_CHECK(write("zsh/vendor-completions/_convopt", zsh_completion(app)));
  return write("fish/vendor_completions.d/convopt.fish", fish_completion(app));
}

}  // namespace

void add_manual(CLI::App& app, Action& action) {
  auto folder = std::make_shared<fs::path>();
  CLI::App* verb =
      app.add_subcommand("manual", "Writes man pages and completions of shells to a folder.")
          ->group("");
  verb->add_option("folder", *folder, "Where to.")->required();
  verb->callback(
      [&app, &action, folder] { action = [&app, folder] { return write_manual(app, *folder); }; });
}

}  // namespace convopt::cli
