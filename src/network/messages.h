// Words for messages about files that may hold anything.
#pragma once

#include <string>
#include <string_view>

namespace convopt {

/// `text` in single quotes, fit for a message: control characters replaced, long text cut.
std::string in_quotes(std::string_view text);

}  // namespace convopt
