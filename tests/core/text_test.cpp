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

TEST(Text, DurationsHaveUnitsAndNothingElse) {
  EXPECT_EQ(parse_duration("0"), 0);
  EXPECT_EQ(parse_duration("60s"), 60);
  EXPECT_EQ(parse_duration("1.5m"), 90);
  EXPECT_EQ(parse_duration("2h"), 7200);
  EXPECT_EQ(parse_duration("250ms"), 0.25);
  for (const char* text : {"", "s", "90", "1.5", "-1s", "5 m", "1d", "nan", "inf", "1e400"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Text, SizesHaveUnitsAndNothingElse) {
  EXPECT_EQ(parse_bytes("0"), 0U);
  EXPECT_EQ(parse_bytes("4096"), 4096U);
  EXPECT_EQ(parse_bytes("100b"), 100U);
  for (const char* text : {"1536k", "1.5M", "1.5 MB", "1.5MiB", "1.5mb", "1.5 Mi"}) {
    EXPECT_EQ(parse_bytes(text), 3U << 19U) << text;
  }
  EXPECT_EQ(parse_bytes("2GB"), std::size_t{2} << 30U);
  for (const char* text : {"", "MB", "-5", "-5MB", "5 parsec", "5MBs", "5bb", "nan", "inf", "1e400",
                           "1e30", "9999999TB"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
}

TEST(Text, NumbersInMessages) {
  EXPECT_EQ(counted(0, "input"), "0 inputs");
  EXPECT_EQ(counted(1, "input"), "1 input");
  EXPECT_EQ(counted(2, "input"), "2 inputs");
  EXPECT_EQ(fixed(2.0 / 3, 2), "0.67");
  EXPECT_EQ(significant(1.0 / 3000, 2), "0.00033");
  EXPECT_EQ(scientific(1.0 / 3000, 1), "3.3e-04");
}

TEST(Text, QuotesAreFitForAMessage) {
  EXPECT_EQ(in_quotes("conv1"), "'conv1'");
  EXPECT_EQ(in_quotes("a\x01\nb"), "'a??b'");
  EXPECT_EQ(in_quotes("abcdef", 3), "'abc...'");
  EXPECT_EQ(in_quotes("ab\xc3\xa4", 3), "'ab...'");
}

}  // namespace
}  // namespace convopt
