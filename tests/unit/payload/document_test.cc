// Tests of engine/payload/document.cc: what a payload may be, what is refused and under which field
// name, what comes out of it, and that it agrees with an independent JSON parser on random and
// damaged texts. One thread.
#include "engine/payload/document.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>

#include "engine/base/limits.h"

namespace {

using vecserve::FieldOptions;
using vecserve::FieldType;
using vecserve::Status;
using vecserve::StatusCode;
using vecserve::engine::check_payload;
using vecserve::engine::FieldValue;
using vecserve::engine::read_field;
using vecserve::engine::read_fields;
namespace limits = vecserve::engine::limits;
using Kind = FieldValue::Kind;

const std::vector<FieldOptions> kDeclared = {
    {"year", FieldType::number}, {"genre", FieldType::string}, {"live", FieldType::boolean}};

Status check(std::string_view text) {
  std::vector<FieldValue> fields;
  return check_payload(text, kDeclared, fields);
}

std::string nested(std::uint32_t depth) {  // an object whose innermost list is at level `depth`
  return R"({"a":)" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
}

TEST_CASE("document: declared values come out in the order of the declaration", "[payload]") {
  std::vector<FieldValue> fields(7);
  fields[0].text = "left over";
  REQUIRE(check_payload(R"( {"genre":"ja\u007az","x":{"year":1},"live":true,"year":-1.5e3} )",
                        kDeclared, fields)
              .ok());
  REQUIRE(fields.size() == 3);
  CHECK(fields[0].kind == Kind::number);
  CHECK(fields[0].number == -1500.0);
  CHECK(fields[1].kind == Kind::string);
  CHECK(fields[1].text == "jazz");
  CHECK(fields[2].kind == Kind::number);
  CHECK(fields[2].number == 1.0);
}

TEST_CASE("document: no text counts as the empty object", "[payload]") {
  std::vector<FieldValue> fields;
  for (const char* text : {"", "{}", " { } "}) {
    CAPTURE(text);
    REQUIRE(check_payload(text, kDeclared, fields).ok());
    REQUIRE(fields.size() == 3);
    for (const FieldValue& field : fields) CHECK(field.kind == Kind::missing);
  }
}

TEST_CASE("document: null is allowed in every declared field", "[payload]") {
  std::vector<FieldValue> fields;
  REQUIRE(check_payload(R"({"year":null,"genre":null,"live":null})", kDeclared, fields).ok());
  for (const FieldValue& field : fields) CHECK(field.kind == Kind::null);
}

TEST_CASE("document: a wrong type is refused under the name of the field", "[payload]") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"year":"1990"})", "payload.year"},    {R"({"year":true})", "payload.year"},
      {R"({"year":[1]})", "payload.year"},       {R"({"genre":1})", "payload.genre"},
      {R"({"genre":{}})", "payload.genre"},      {R"({"live":1})", "payload.live"},
      {R"({"live":"true"})", "payload.live"},    {R"({"year":1e999})", "payload.year"},
      {R"({"genre":"\ud800"})", "payload.genre"}};
  for (const auto& [text, field] : cases) {
    CAPTURE(text);
    const Status status = check(text);
    CHECK(status.code() == StatusCode::invalid_argument);
    CHECK(status.field() == field);
  }
}

TEST_CASE("document: what is not one strict JSON object is refused", "[payload]") {
  const std::vector<std::string> texts = {" ",
                                          "[]",
                                          "1",
                                          "null",
                                          "\"a\"",
                                          "{",
                                          "}",
                                          "{}{}",
                                          "{} x",
                                          "{},",
                                          "{\"a\":1}}",
                                          "{\"a\":1]",
                                          "{\"a\":1,}",
                                          "{\"a\" 1}",
                                          "{\"a\":}",
                                          "{a:1}",
                                          "{'a':1}",
                                          "{\"a\":01}",
                                          "{\"a\":+1}",
                                          "{\"a\":.5}",
                                          "{\"a\":1.}",
                                          "{\"a\":1e}",
                                          "{\"a\":0x1}",
                                          "{\"a\":NaN}",
                                          "{\"a\":tru}",
                                          "{\"a\":truee}",
                                          "{\"a\":nul}",
                                          "{\"a\":nulll}",
                                          "{\"a\":falsey}",
                                          "{\"a\":[1 2]}",
                                          "{\"a\":[1,]}",
                                          "{\"a\":[,1]}",
                                          "{\"a\":[1}",
                                          "{\"a\":\"x}",
                                          "{\"a\":\"\\x\"}",
                                          "{\"a\":\"\\u12\"}",
                                          "{\"a\":\"\\ud800\"}",
                                          "{\"a\":\"\\udc00\"}",
                                          "{\"a\":\"\\ud800\\u0041\"}",
                                          "{\"\\ud800\":1}",
                                          "{\"a\":\"\n\"}",
                                          "{\"a\":{\"b\":1e400}}",
                                          "{\"a\":-}",
                                          "{\"a\":1 \"b\":2}",
                                          "\xef\xbb\xbf{}",
                                          "{\"a\":\"\xff\"}",
                                          "{\"a\":\"\xc0\x80\"}",
                                          "{\"a\":\"\xed\xa0\x80\"}",
                                          "{\"a\":\"\xf4\x90\x80\x80\"}",
                                          "{\"a\":1}/**/",
                                          std::string("{\"a\":1}\0", 8)};
  for (const std::string& text : texts) {
    CAPTURE(text);
    const Status status = check(text);
    CHECK(status.code() == StatusCode::invalid_argument);
    CHECK(status.field() == "payload");
    CHECK_FALSE(status.message().empty());
  }
}

TEST_CASE("document: an escape of half a character is refused wherever it stands", "[payload]") {
  CHECK(check(R"({"a":"\ud000\ud7ff\ue000"})").ok());  // the characters around the halves
  CHECK(check("{\"a\":\"\xed\x80\x80\xed\x9f\xbf\"}").ok());
  for (const char* half : {"\\ud800", "\\udbff", "\\udc00", "\\udfff"}) {
    CAPTURE(half);
    CHECK(check(R"({"a":"\ud000)" + std::string(half) + R"("})").field() == "payload");
    CHECK(check(R"({"a":["\ud7ff x )" + std::string(half) + R"( x"]})").field() == "payload");
    CHECK(check(R"({"\ud000)" + std::string(half) + R"(":1})").field() == "payload");
    CHECK(check(R"({"genre":"\ud000)" + std::string(half) + R"("})").field() == "payload.genre");
  }
}

TEST_CASE("document: a name that comes twice is refused, however it is written", "[payload]") {
  CHECK(check(R"({"a":1,"a":2})").field() == "payload");
  CHECK(check(R"({"a":1,"\u0061":2})").field() == "payload");
  CHECK(check(R"({"year":1,"x":1,"year":2})").field() == "payload");
  CHECK(check(R"({"a":1,"A":2,"":3," ":4})").ok());
  CHECK(check(R"({"a":{"b":1,"b":2}})").ok());  // filters see the top level only
  std::string many = "{";
  for (int i = 0; i < 1000; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  CHECK(check(many + "\"k1000\":0}").ok());
  CHECK(check(many + "\"k500\":0}").field() == "payload");
}

TEST_CASE("document: the limits of depth and size are exact", "[payload]") {
  CHECK(check(nested(limits::payload_depth_max)).ok());
  CHECK(check(nested(limits::payload_depth_max + 1)).field() == "payload");
  CHECK(check(nested(100'000)).field() == "payload");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK(check(objects).field() == "payload");
  const std::string frame = R"({"a":""})";
  const std::size_t fill = limits::payload_bytes_max - frame.size();
  CHECK(check(R"({"a":")" + std::string(fill, 'x') + "\"}").ok());
  CHECK(check(R"({"a":")" + std::string(fill + 1, 'x') + "\"}").field() == "payload");
}

TEST_CASE("document: numbers are the nearest doubles, integers of any length included",
          "[payload]") {
  std::vector<FieldValue> fields;
  const std::vector<std::pair<std::string, double>> cases = {
      {"0", 0.0},
      {"-0", -0.0},
      {"0.1", 0.1},
      {"9007199254740993", 9007199254740992.0},
      {"18446744073709551616", 18446744073709551616.0},
      {"123456789012345678901234567890", 123456789012345678901234567890.0},
      {"1e308", 1e308},
      {"1.7976931348623157e308", std::numeric_limits<double>::max()},
      {"5e-324", std::numeric_limits<double>::denorm_min()},
      {"1e-400", 0.0}};
  for (const auto& [text, value] : cases) {
    CAPTURE(text);
    REQUIRE(check_payload("{\"year\":" + text + "}", kDeclared, fields).ok());
    CHECK(fields[0].number == value);
    CHECK(std::signbit(fields[0].number) == std::signbit(value));
    CHECK(read_field("{\"year\":" + text + "}", "year").number == value);
  }
}

TEST_CASE("document: read_field gives every kind of value", "[payload]") {
  const std::string text =
      R"({"n":2.5,"s":"\u00e9\n","t":true,"f":false,"z":null,"o":{"n":1},"l":[1,"a",-2],"e":[],)"
      R"("m":[1,null],"b":[true],"d":[[1]],"":7,"\u0061b":8})";
  REQUIRE(check(text).ok());
  CHECK(read_field(text, "n").number == 2.5);
  CHECK(read_field(text, "s").text == "\xc3\xa9\n");
  CHECK(read_field(text, "t").number == 1.0);
  CHECK(read_field(text, "f").kind == Kind::number);
  CHECK(read_field(text, "f").number == 0.0);
  CHECK(read_field(text, "z").kind == Kind::null);
  CHECK(read_field(text, "").number == 7.0);
  CHECK(read_field(text, "ab").number == 8.0);
  const FieldValue list = read_field(text, "l");
  REQUIRE(list.kind == Kind::list);
  REQUIRE(list.items.size() == 3);
  CHECK(list.items[0].number == 1.0);
  CHECK(list.items[1].text == "a");
  CHECK(list.items[2].number == -2.0);
  CHECK(read_field(text, "e").kind == Kind::list);
  CHECK(read_field(text, "e").items.empty());
  for (const char* name : {"o", "m", "b", "d", "x", "N", "nn"}) {
    CAPTURE(name);
    CHECK(read_field(text, name).kind == Kind::missing);
  }
  CHECK(read_field("", "n").kind == Kind::missing);
  CHECK(read_field("{}", "n").kind == Kind::missing);
}

TEST_CASE("document: read_fields needs every name", "[payload]") {
  const std::string text = R"({"c":3,"a":1,"b":{},"d":4})";
  std::vector<FieldValue> values(2);
  std::vector<std::string_view> names = {"a", "c"};
  REQUIRE(read_fields(text, names, values));
  CHECK(values[0].number == 1.0);
  CHECK(values[1].number == 3.0);
  names = {"a", "b"};
  CHECK_FALSE(read_fields(text, names, values));
  names = {"a", "x"};
  CHECK_FALSE(read_fields(text, names, values));
  CHECK(read_fields("", {}, {}));

  std::string wide = "{";
  std::set<std::string> sorted;
  for (int i = 99; i >= 0; --i) {
    sorted.insert("k" + std::to_string(i));
    wide += "\"k" + std::to_string(i) + "\":" + std::to_string(i) + (i == 0 ? "}" : ",");
  }
  const std::vector<std::string_view> all(sorted.begin(), sorted.end());
  std::vector<FieldValue> found(all.size());
  REQUIRE(read_fields(wide, all, found));
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(found[i].number == std::stod(std::string(all[i].substr(1))));
  }
}

// The independent judgement: strict parse, object at the top, no name twice, depth, finite numbers.
bool nlohmann_accepts(const std::string& text) {
  int depth = 0;
  bool good = true;
  std::set<std::string> names;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (++depth > static_cast<int>(limits::payload_depth_max)) good = false;
    }
    if (event == Event::object_end || event == Event::array_end) --depth;
    if (event == Event::key && depth == 1) {
      good = names.insert(value.get<std::string>()).second && good;
    }
    return true;
  };
  if (text.substr(0, 3) == "\xef\xbb\xbf") return false;  // it would skip the mark
  const auto parsed = nlohmann::json::parse(text, watch, false);
  return good && !parsed.is_discarded() && parsed.is_object();
}

TEST_CASE("document: agrees with another parser on damaged texts", "[payload]") {
  const std::uint64_t seed = 20'240'811;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const std::vector<std::string> starts = {
      R"({"a":[1,2.5e-3,{"b":null,"c":[true,false]}],"d":"\u00e9\\\"x","e":{},"f":-0})",
      R"({"name":"Olá \ud83d\ude00","n":12345678901234567890,"t":["x","y",""]})",
      R"( { "k" : { "l" : [ [ ] , [ [ "m" ] ] ] } , "z" : 1E+2 } )"};
  const std::string alphabet = "{}[]\",:\\ntfu0159.eE+-a \x80\xc3\xed\xff";
  std::size_t accepted = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string text = starts[random() % starts.size()];
    for (std::uint64_t n = 1 + random() % 3; n > 0; --n) {
      const std::size_t at = random() % text.size();
      const char letter = alphabet[random() % alphabet.size()];
      switch (random() % 3) {
        case 0:
          text[at] = letter;
          break;
        case 1:
          text.insert(at, 1, letter);
          break;
        default:
          text.erase(at, 1);
          break;
      }
    }
    std::vector<FieldValue> fields;
    const bool ours = check_payload(text, {}, fields).ok();
    if (ours) ++accepted;
    if (ours != nlohmann_accepts(text)) FAIL("seed " << seed << ", disagree on: " << text);
  }
  CHECK(accepted > 5'000);
}

}  // namespace
