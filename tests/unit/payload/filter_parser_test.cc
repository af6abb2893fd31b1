// Tests of engine/payload/filter_parser.cc: precedence of each level against its neighbours, what a
// list may hold, the errors with their places, and the limits. Expressions of literals are judged
// by their truth; one thread.
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "engine/base/limits.h"
#include "engine/payload/filter.h"

namespace {

using vecserve::Result;
using vecserve::Status;
using vecserve::StatusCode;
using vecserve::engine::Filter;
namespace limits = vecserve::engine::limits;

bool holds(const std::string& text) {
  const Result<Filter> filter = Filter::parse(text);
  INFO(text.substr(0, 80) << ": " << filter.status().to_string());
  REQUIRE(filter.ok());
  return filter->matches("{}");
}

std::string error_of(const std::string& text) {
  const Status status = Filter::parse(text).status();
  INFO(text.substr(0, 80));
  REQUIRE(status.code() == StatusCode::invalid_argument);
  CHECK(status.field() == "filter");
  return status.message();
}

std::string repeated(const std::string& part, std::size_t times) {
  std::string text;
  text.reserve(part.size() * times);
  for (std::size_t i = 0; i < times; ++i) text += part;
  return text;
}

TEST_CASE("filter: not binds tighter than every other operator", "[filter]") {
  CHECK(holds("not 0 ** 2 == 1"));  // (not 0) ** 2
  CHECK(holds("! 2 ** 0 == 1"));    // 0 ** 0 is 1; not (2 ** 0) would be 0
  CHECK_FALSE(holds("not 2 == 0.5"));
  CHECK(holds("not 1 == 0"));        // (not 1) == 0
  CHECK(holds("not 3 == 0"));        // not (3 == 0) holds too, but
  CHECK_FALSE(holds("not 3 == 4"));  // (not 3) == 4 does not
  CHECK_FALSE(holds("not 1 and 0"));
  CHECK_FALSE(holds("not (0 or 1)"));
  CHECK(holds("not 1 or 1"));
  CHECK(holds("!!5 == 1"));
  CHECK(holds("2 ** !0 == 2"));
  CHECK(holds("not not not 0"));
}

TEST_CASE("filter: power groups from the right and binds tighter than times", "[filter]") {
  CHECK(holds("2 ** 3 ** 2 == 512"));
  CHECK(holds("(2 ** 3) ** 2 == 64"));
  CHECK(holds("2 * 3 ** 2 == 18"));
  CHECK(holds("2 ** 3 * 2 == 16"));
  CHECK(holds("-2 ** 2 == 4"));
  CHECK(holds("2 ** -1 == 0.5"));
  CHECK(holds("18 / 3 ** 2 == 2"));
}

TEST_CASE("filter: times, divide and remainder group from the left", "[filter]") {
  CHECK(holds("8 / 4 / 2 == 1"));
  CHECK(holds("8 / 4 * 2 == 4"));
  CHECK(holds("7 % 4 * 2 == 6"));
  CHECK(holds("2 * 7 % 4 == 2"));
  CHECK(holds("1 + 2 * 3 == 7"));
  CHECK(holds("2 * 3 + 1 == 7"));
  CHECK(holds("(1 + 2) * 3 == 9"));
  CHECK(holds("9 - 7 % 4 == 6"));
}

TEST_CASE("filter: plus and minus group from the left and come before comparisons", "[filter]") {
  CHECK(holds("10 - 4 - 3 == 3"));
  CHECK(holds("10 - 4 + 3 == 9"));
  CHECK(holds("10-4 == 6"));
  CHECK(holds("5 - -3 == 8"));
  CHECK(holds("5--3 == 8"));
  CHECK(holds("1 + 1 > 1"));
  CHECK(holds("3 < 1 + 3"));
  CHECK(holds("1 + 1 in [2]"));
}

TEST_CASE("filter: comparisons group from the left and come before and", "[filter]") {
  CHECK(holds("3 > 2 > 0"));        // 1 > 0
  CHECK_FALSE(holds("3 > 2 > 1"));  // 1 > 1
  CHECK(holds("1 < 2 == 1"));
  CHECK(holds("2 in [2] == 1"));
  CHECK(holds("1 == 1 and 2 == 2"));
  CHECK_FALSE(holds("1 == 1 and 2 == 3"));
  CHECK(holds("5 > 4 in [1]"));
  CHECK(holds("2 >= 2 and 2 <= 2 and 2 != 3"));
}

TEST_CASE("filter: and binds tighter than or, in both spellings", "[filter]") {
  CHECK(holds("1 or 1 and 0"));
  CHECK(holds("0 and 0 or 1"));
  CHECK(holds("1 || 1 && 0"));
  CHECK_FALSE(holds("(1 or 1) and 0"));
  CHECK(holds("0 or 0 and 1 or 1"));
  CHECK_FALSE(holds("0 or 1 and 0"));
  CHECK(holds("(2 and 3) == 1"));
  CHECK(holds("(0 or 3) == 1"));
}

TEST_CASE("filter: lists hold numbers and strings, or nothing", "[filter]") {
  CHECK(holds("-2 in [1, -2, 3]"));
  CHECK(holds("\"b\" in ['a',\"b\"]"));
  CHECK(holds("true in [1]"));
  CHECK(holds("1 in [true]"));
  CHECK_FALSE(holds("1 in []"));
  CHECK_FALSE(holds("[]"));
  CHECK(holds("[0]"));
  CHECK(holds("1 in [ \n 1 \t ]"));
  CHECK_THAT(error_of("1 in [1,]"), Catch::StartsWith("at byte 8: expected a number or a string"));
  CHECK_THAT(error_of("1 in [,]"),
             Catch::StartsWith("at byte 6: expected a number, a string or ]"));
  CHECK_THAT(error_of("1 in [1 2]"), Catch::StartsWith("at byte 8: expected , or ]"));
  CHECK_THAT(error_of("1 in [null]"), Catch::StartsWith("at byte 6: expected a number"));
  CHECK_THAT(error_of("1 in [[1]]"), Catch::StartsWith("at byte 6: expected a number"));
  CHECK_THAT(error_of("1 in [.a]"), Catch::StartsWith("at byte 6: expected a number"));
  CHECK_THAT(error_of("1 in [1 + 1]"), Catch::StartsWith("at byte 8: expected , or ]"));
  CHECK_THAT(error_of("1 in [-]"), Catch::StartsWith("at byte 6: expected a number"));
  CHECK_THAT(error_of("1 in [1"), Catch::StartsWith("at byte 7: expected , or ], found the end"));
}

TEST_CASE("filter: an error says where, what was expected and what was found", "[filter]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "at byte 0: expected a value, found the end"},
      {" \t\n ", "at byte 4: expected a value, found the end"},
      {"1 +", "at byte 3: expected a value, found the end"},
      {"1 + * 2", "at byte 4: expected a value, found *"},
      {"1 2", "at byte 2: expected an operator or the end, found 2"},
      {".a .b", "at byte 3: expected an operator or the end, found .b"},
      {"(1", "at byte 2: expected an operator or ), found the end"},
      {"1)", "at byte 1: expected an operator or the end, found )"},
      {"()", "at byte 1: expected a value, found )"},
      {"not", "at byte 3: expected a value, found the end"},
      {".a not in [1]", "at byte 3: expected an operator or the end, found not"},
      {"- 1", "at byte 0: expected a value, found -"},
      {"-.a", "at byte 0: expected a value, found -"},
      {"1 in [1] ]", "at byte 9: expected an operator or the end, found ]"},
      {"1, 2", "at byte 1: expected an operator or the end, found ,"},
      {"1 == 'a", "at byte 5: the string is not closed"}};
  for (const auto& [text, message] : cases) CHECK(error_of(text) == message);
  CHECK_THAT(error_of("1 '" + std::string(500, 'x') + "'"),
             Catch::EndsWith("found '" + std::string(23, 'x')));
}

TEST_CASE("filter: nesting is limited exactly, for each thing that nests", "[filter]") {
  const std::size_t depth = limits::filter_depth_max;
  CHECK(holds(repeated("(", depth) + "1" + repeated(")", depth)));
  CHECK_THAT(error_of(repeated("(", depth + 1) + "1" + repeated(")", depth + 1)),
             Catch::StartsWith("at byte 64: nested deeper than 64"));
  CHECK(holds(repeated("!", depth) + "1"));
  CHECK_THAT(error_of(repeated("!", depth + 1) + "1"), Catch::Contains("nested deeper"));
  CHECK(holds("1" + repeated("**1", depth)));
  CHECK_THAT(error_of("1" + repeated("**1", depth + 1)), Catch::Contains("nested deeper"));
  for (const char* part : {"(", "!", "not ", "1**", "not (", "(1 + ", "1 or ("}) {
    CAPTURE(part);
    CHECK_THAT(error_of(repeated(part, 100'000) + "1"), Catch::Contains("nested deeper"));
  }
  CHECK(holds("0" + repeated(" + (1)", 10'000)));  // beside each other is not nested
}

TEST_CASE("filter: nodes and bytes are limited exactly", "[filter]") {
  // n terms and n - 1 operators.
  const std::size_t terms = (limits::filter_nodes_max + 1) / 2;
  CHECK(holds("0" + repeated(" or 0", terms - 2) + " or 1"));
  CHECK_THAT(error_of("0" + repeated(" or 0", terms)), Catch::Contains("more than 65536"));
  CHECK_THAT(error_of(repeated("0 or ", 200'000) + "1"), Catch::Contains("more than 65536"));
  CHECK_THAT(error_of(repeated(".a or ", 1'000'000) + ".a"), Catch::Contains("longer than"));
  CHECK(holds("1 in [" + repeated("0,", limits::filter_nodes_max - 4) + "1]"));
  CHECK_THAT(error_of("1 in [" + repeated("0,", limits::filter_nodes_max - 3) + "1]"),
             Catch::Contains("more than 65536"));
  const std::string blank(limits::filter_bytes_max - 1, ' ');
  CHECK(holds(blank + "1"));
  CHECK_THAT(error_of(blank + " 1"), Catch::Contains("longer than 1048576 bytes"));
  const std::string long_text = "'" + std::string(limits::filter_bytes_max - 2, 'x') + "'";
  CHECK(holds(long_text));
}

TEST_CASE("filter: a name that comes again is the same field", "[filter]") {
  const Result<Filter> filter = Filter::parse(".b > 1 and .a < 5 and .b < 3 and .c == .a");
  REQUIRE(filter.ok());
  CHECK(filter->matches(R"({"a":4,"b":2,"c":4})"));
  CHECK_FALSE(filter->matches(R"({"a":4,"b":3,"c":4})"));
  CHECK_FALSE(filter->matches(R"({"a":4,"b":2,"c":5})"));
}

}  // namespace
