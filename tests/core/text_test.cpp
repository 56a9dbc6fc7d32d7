#include "core/text.h"

#include <gtest/gtest.h>

#include <string>

namespace convopt {
namespace {

TEST(Text, Utf8IsWhatTheStandardSays) {
  using namespace std::string_literals;
  for (const std::string& text :
       {""s, "conv1"s, "\0"s, "\xc3\xa4"s, "\xe2\x82\xac"s, "\xed\x9f\xbf"s, "\xee\x80\x80"s,
        "\xf0\x9f\x98\x80"s, "\xf4\x8f\xbf\xbf"s, "a\xc3\xa4z"s})
    EXPECT_TRUE(is_utf8(text)) << ::testing::PrintToString(text);
  for (const std::string& text :
       {"\x80"s, "\xff"s, "\xc3"s, "\xc3z"s, "\xc0\x80"s, "\xc1\xbf"s, "\xe0\x80\x80"s,
        "\xed\xa0\x80"s, "\xed\xbf\xbf"s, "\xf0\x80\x80\x80"s, "\xf4\x90\x80\x80"s,
        "\xf8\x88\x80\x80\x80"s, "\xe2\x82"s, "\xf0\x9f\x98"s})
    EXPECT_FALSE(is_utf8(text)) << ::testing::PrintToString(text);
}

}  // namespace
}  // namespace convopt
