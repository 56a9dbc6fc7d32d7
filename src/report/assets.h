// Style sheet and script of the page.
#pragma once

#include <string_view>

namespace convopt {

std::string_view page_style();
std::string_view page_script();

}  // namespace convopt
