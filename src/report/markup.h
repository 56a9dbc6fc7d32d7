// Elements of HTML and SVG. Text is escaped where it becomes markup, values of attributes always,
// so that no name from a model can inject an element or a script. The result is well-formed XML.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace convopt {

/// The text as content of an element or value of an attribute. What XML cannot hold, control
/// characters and broken UTF-8, becomes a replacement character.
std::string escaped(std::string_view text);

using Attributes = std::initializer_list<std::pair<std::string_view, std::string>>;

/// `<name attributes>content</name>`; `content` is markup.
std::string element(std::string_view name, Attributes attributes, std::string_view content);
/// `<name attributes/>`, for elements that never have any content.
std::string empty_element(std::string_view name, Attributes attributes);

/// A number of pixels, "12.5".
std::string pixels(double value);

}  // namespace convopt
