#include "src/network/messages.h"

#include <algorithm>

namespace convopt {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::size_t length = std::min(text.size(), kLongest);
  // A cut must not fall between the bytes of one UTF-8 character.
  while (length < text.size() && length > 0 && (text[length] & 0xC0) == 0x80) --length;
  std::string result = "'";
  for (const char c : text.substr(0, length)) {
    const auto byte = static_cast<unsigned char>(c);
    result += byte < 0x20 || byte == 0x7F ? '?' : c;
  }
  return result + (length < text.size() ? "...'" : "'");
}

}  // namespace convopt
