// Tests of engine/payload/filter_lexer.cc: every spelling becomes its token, strings are unescaped,
// and an error names the byte at which it was found. Tokens are taken from the lexer directly, so
// that the parser cannot hide a wrong one. One thread.
#include "engine/payload/filter_lexer.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace {

using vecserve::Status;
using vecserve::StatusCode;
using vecserve::engine::FilterLexer;
using vecserve::engine::FilterOp;
using vecserve::engine::FilterToken;
using vecserve::engine::TokenKind;

FilterToken only_token(std::string_view text) {
  FilterLexer lexer(text);
  FilterToken token;
  REQUIRE(lexer.next(token).ok());
  FilterToken end;
  REQUIRE(lexer.next(end).ok());
  REQUIRE(end.kind == TokenKind::end);
  return token;
}

std::string error_of(std::string_view text) {
  FilterLexer lexer(text);
  FilterToken token;
  for (;;) {
    const Status status = lexer.next(token);
    if (!status.ok()) {
      CHECK(status.code() == StatusCode::invalid_argument);
      CHECK(status.field() == "filter");
      return status.message();
    }
    if (token.kind == TokenKind::end) return "";
  }
}

TEST_CASE("filter: every operator has its token, without spaces too", "[filter]") {
  const std::vector<FilterOp> expected = {
      FilterOp::power,      FilterOp::multiply,    FilterOp::divide,        FilterOp::modulo,
      FilterOp::add,        FilterOp::subtract,    FilterOp::greater_equal, FilterOp::greater,
      FilterOp::less_equal, FilterOp::less,        FilterOp::equal,         FilterOp::not_equal,
      FilterOp::in,         FilterOp::logical_and, FilterOp::logical_and,   FilterOp::logical_or,
      FilterOp::logical_or};
  for (const char* text :
       {"** * / % + - >= > <= < == != in and && or ||", "***/%+ ->=> <=< ==!= in and&&or||"}) {
    CAPTURE(text);
    FilterLexer lexer(text);
    FilterToken token;
    for (const FilterOp op : expected) {
      REQUIRE(lexer.next(token).ok());
      CHECK(token.kind == TokenKind::binary);
      CHECK(token.op == op);
    }
    REQUIRE(lexer.next(token).ok());
    CHECK(token.kind == TokenKind::end);
    CHECK(token.begin == std::string_view(text).size());
  }
}

TEST_CASE("filter: numbers are read to the nearest double", "[filter]") {
  CHECK(only_token("0").number == 0.0);
  CHECK(only_token("  1990 ").number == 1990.0);
  CHECK(only_token("0.1").number == 0.1);
  CHECK(only_token("1e3").number == 1000.0);
  CHECK(only_token("2.5E-2").number == 0.025);
  CHECK(only_token("9007199254740993").number == 9007199254740992.0);
  CHECK(only_token("true").number == 1.0);
  CHECK(only_token("false").number == 0.0);
  CHECK(only_token("false").kind == TokenKind::number);
}

TEST_CASE("filter: a sign joins only a digit right behind it", "[filter]") {
  FilterLexer lexer("-2.5 -x - 3");
  FilterToken token;
  REQUIRE(lexer.next(token).ok());
  REQUIRE(lexer.join_sign(token).ok());
  CHECK(token.kind == TokenKind::number);
  CHECK(token.number == -2.5);
  CHECK(token.begin == 0);
  CHECK(token.end == 4);
  REQUIRE(lexer.next(token).ok());
  REQUIRE(lexer.join_sign(token).ok());
  CHECK(token.kind == TokenKind::binary);
  FilterLexer spaced("- 3");
  REQUIRE(spaced.next(token).ok());
  REQUIRE(spaced.join_sign(token).ok());
  CHECK(token.kind == TokenKind::binary);
  REQUIRE(spaced.next(token).ok());
  CHECK(token.number == 3.0);
}

TEST_CASE("filter: strings in either quote with escapes and unicode", "[filter]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"("")", ""},
      {R"('')", ""},
      {R"("it's")", "it's"},
      {R"('say "a"')", "say \"a\""},
      {R"('it\'s')", "it's"},
      {R"("a\"b\\c\/d")", "a\"b\\c/d"},
      {R"("\b\f\n\r\t")", "\b\f\n\r\t"},
      {R"("\u0041\u00e9\u20ac\ud83d\ude00")", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
      {R"("\u007f\u0080\u07ff\u0800\uffff\ud800\udc00\udbff\udfff")",
       "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
      {"\"Ol\xc3\xa1 \xf0\x9f\x98\x80\"", "Ol\xc3\xa1 \xf0\x9f\x98\x80"},
      {R"("\u0000x")", std::string("\0x", 2)},
      {"'line\nbreak'", "line\nbreak"}};
  for (const auto& [text, meaning] : cases) {
    CAPTURE(text);
    const FilterToken token = only_token(text);
    CHECK(token.kind == TokenKind::string);
    CHECK(token.text == meaning);
  }
}

TEST_CASE("filter: a field name holds letters, digits, _ and -", "[filter]") {
  CHECK(only_token(".year").text == "year");
  CHECK(only_token(".a-1").text == "a-1");
  CHECK(only_token("._").text == "_");
  CHECK(only_token(".5").text == "5");
  CHECK(only_token(".and").kind == TokenKind::field);
}

TEST_CASE("filter: an error names the byte", "[filter]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {". a", "at byte 1: expected the name"},
      {"  .", "at byte 3: expected the name"},
      {"1.", "at byte 2: expected a digit"},
      {"1.x", "at byte 2: expected a digit"},
      {"1e", "at byte 2: expected the digits"},
      {"12 1e+", "at byte 6: expected the digits"},
      {"12x", "at byte 2: expected a space"},
      {"1.2.3", "at byte 3: expected a space"},
      {"  1e999", "at byte 2: the number does not fit"},
      {"nothing", "at byte 0: an unknown word"},
      {"AND", "at byte 0: an unknown word"},
      {"1 = 2", "at byte 2: expected =="},
      {"1 & 2", "at byte 2: expected &&"},
      {"1 | 2", "at byte 2: expected &&"},
      {"  # ", "at byte 2: a character"},
      {"\xc3\xa9", "at byte 0: a character"},
      {std::string("\0", 1), "at byte 0: a character"},
      {"  'abc", "at byte 2: the string is not closed"},
      {"'abc\\", "at byte 4: an unknown escape"},
      {"'abc\\'", "at byte 0: the string is not closed"},
      {"'a\\x'", "at byte 2: an unknown escape"},
      {"'\\u12'", "at byte 1: expected \\u"},
      {"'\\u12g4'", "at byte 1: expected \\u"},
      {"'\\u+123'", "at byte 1: expected \\u"},
      {"'\\ud800'", "at byte 1: expected \\u"},
      {"'\\ud800\\u0041'", "at byte 1: expected \\u"},
      {"'\\udc00'", "at byte 1: expected \\u"},
      {"1 '\xff'", "at byte 2: the string is not valid UTF-8"}};
  for (const auto& [text, message] : cases) {
    CAPTURE(text);
    CHECK_THAT(error_of(text), Catch::StartsWith(message));
  }
}

}  // namespace
