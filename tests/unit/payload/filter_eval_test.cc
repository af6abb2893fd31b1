// Tests of engine/payload/filter_eval.cc: the rules of missing fields and null, eligible bits,
// blocks with and without columns; and the property that declared columns, JSON and a naive
// evaluator written for this test agree on random schemas, payloads and expressions. One thread,
// seeded.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "engine/payload/filter.h"
#include "tests/support/payload_columns.h"

namespace {

using nlohmann::json;
using vecserve::FieldOptions;
using vecserve::FieldType;
using vecserve::Result;
using vecserve::engine::Filter;
using vecserve::test::columns_of;

const std::vector<FieldOptions> kDeclared = {
    {"year", FieldType::number}, {"genre", FieldType::string}, {"live", FieldType::boolean}};

Filter parsed(const std::string& text) {
  Result<Filter> filter = Filter::parse(text);
  INFO(text << ": " << filter.status().to_string());
  REQUIRE(filter.ok());
  return std::move(filter).value();
}

std::vector<std::uint64_t> all_bits(std::size_t count) {
  return std::vector<std::uint64_t>((count + 63) / 64, ~std::uint64_t{0});
}

// The positions that match, by columns and by JSON, which must be the same.
std::vector<std::uint32_t> matching(const std::string& text,
                                    const std::vector<std::string>& payloads) {
  const Filter filter = parsed(text);
  std::vector<std::uint32_t> found;
  for (std::uint32_t p = 0; p < payloads.size(); ++p) {
    if (filter.matches(payloads[p])) found.push_back(p);
  }
  for (const std::vector<FieldOptions>& declared : {kDeclared, {}}) {
    const auto block = columns_of(declared, payloads);
    const auto eligible = all_bits(payloads.size());
    std::vector<std::uint64_t> out(eligible.size(), 0x5555);
    const auto count = static_cast<std::uint32_t>(payloads.size());
    const std::uint32_t matches = filter.evaluate(block.get(), count, eligible.data(), out.data());
    std::vector<std::uint32_t> positions;
    for (std::uint32_t p = 0; p < out.size() * 64; ++p) {
      if ((out[p / 64] >> (p % 64)) & 1) positions.push_back(p);
    }
    INFO(text << (declared.empty() ? ", nothing declared" : ", declared"));
    CHECK(positions == found);
    CHECK(matches == found.size());
  }
  return found;
}

using Positions = std::vector<std::uint32_t>;

TEST_CASE("filter: rows that satisfy the expression match, others do not", "[filter]") {
  const std::vector<std::string> rows = {
      R"({"year":1989,"genre":"jazz"})", R"({"year":1990,"genre":"jazz"})",
      R"({"year":1991,"genre":"rock"})", R"({"year":2001,"genre":"soul","live":true})", ""};
  CHECK(matching(R"(.year >= 1990 and .genre in ["jazz", "soul"])", rows) == Positions{1, 3});
  CHECK(matching(".live", rows) == Positions{3});
  CHECK(matching(".live == true", rows) == Positions{3});
  CHECK(matching("1990 < .year", rows) == Positions{2, 3});
  CHECK(matching(R"("o" in .genre)", rows) == Positions{2, 3});
  CHECK(matching(".year % 2 == 0", rows) == Positions{1});
  CHECK(matching("1 == 1", rows) == Positions{0, 1, 2, 3, 4});
  CHECK(matching("0", rows).empty());
}

TEST_CASE("filter: a missing field makes the whole expression false", "[filter]") {
  const std::vector<std::string> rows = {R"({"year":1})",
                                         R"({"other":1})",
                                         R"({"year":{"a":1}, "other":1})" + std::string(),
                                         R"({"year":1,"other":[1,[2]]})",
                                         R"({"year":1,"other":2})",
                                         ""};
  // A declared number cannot hold an object, so that row is tried by itself below.
  std::vector<std::string> typed = rows;
  typed.erase(typed.begin() + 2);
  CHECK(matching(".year == 1", typed) == Positions{0, 2, 3});
  CHECK(matching("not .year", typed).empty());
  CHECK(matching("not (.year == 2)", typed) == Positions{0, 2, 3});
  CHECK(matching(".year == 1 or .other == 7", typed) == Positions{3});
  CHECK(matching("1 or .other", typed) == Positions{1, 3});
  CHECK(matching("0 and .other or 1", typed) == Positions{1, 3});
  CHECK(matching(".year != null", typed) == Positions{0, 2, 3});
  CHECK_FALSE(parsed("not .year").matches(rows[2]));
  CHECK_FALSE(parsed(".other or not .year").matches(rows[2]));
  CHECK_FALSE(parsed("1").matches("") == false);
}

TEST_CASE("filter: a declared field that no row of the block has matches nothing", "[filter]") {
  const std::vector<std::string> rows = {R"({"year":1})", R"({"year":2,"other":0})"};
  CHECK(matching(".live", rows).empty());
  CHECK(matching("not .live", rows).empty());
  CHECK(matching(".year or .genre == 'a'", rows).empty());
  CHECK(matching(".other == 0 and not .live", rows).empty());
}

TEST_CASE("filter: null is there, equals only null, and counts as 0", "[filter]") {
  const std::vector<std::string> rows = {R"({"year":null,"genre":null,"x":null})",
                                         R"({"year":0,"genre":"","x":0})",
                                         R"({"year":5,"genre":"a","x":"null"})", "{}"};
  CHECK(matching(".year == null", rows) == Positions{0});
  CHECK(matching(".year != null", rows) == Positions{1, 2});
  CHECK(matching("null == .genre", rows) == Positions{0});
  CHECK(matching(".x == null", rows) == Positions{0});
  CHECK(matching(".year == 0", rows) == Positions{1});
  CHECK(matching(".year != 0", rows) == Positions{0, 2});
  CHECK(matching(R"(.genre == "")", rows) == Positions{1});
  CHECK(matching(".year >= 0", rows) == Positions{0, 1, 2});
  CHECK(matching(".year < 1", rows) == Positions{0, 1});
  CHECK(matching(".year in [0, 5]", rows) == Positions{1, 2});
  CHECK(matching("not .year", rows) == Positions{0, 1});
  CHECK(matching(".genre", rows) == Positions{2});
  CHECK(matching(".year == .x", rows) == Positions{0, 1});
  CHECK(matching(".year + 1 == 1", rows) == Positions{0, 1});
  CHECK(parsed("null == null").matches(""));
  CHECK_FALSE(parsed("null").matches(""));
  CHECK(parsed("not null").matches(""));
}

TEST_CASE("filter: mixed comparisons convert strings", "[filter]") {
  const std::vector<std::string> rows = {R"({"year":10,"genre":"10","t":["10","a",3]})",
                                         R"({"year":9,"genre":"abc","t":[]})",
                                         R"({"year":0,"genre":"9.0","t":["9.0"]})"};
  CHECK(matching(".year == \"10\"", rows) == Positions{0});
  CHECK(matching(".genre == 10", rows) == Positions{0});
  CHECK(matching(".genre == 0", rows) == Positions{1});
  CHECK(matching(".genre > 8", rows) == Positions{0, 2});
  CHECK(matching(".genre in [9, 10]", rows) == Positions{0, 2});
  CHECK(matching(".genre in ['9', '10']", rows) == Positions{0});
  CHECK(matching(".year in ['9', '10']", rows) == Positions{0, 1});
  CHECK(matching(".year == .genre", rows) == Positions{0});
  CHECK(matching(".genre in .t", rows) == Positions{0, 2});
  CHECK(matching(".t", rows) == Positions{0, 2});
  CHECK(matching(".t == []", rows) == Positions{1});
  CHECK(matching(".t == ['9.0']", rows) == Positions{2});
  CHECK(matching("3 in .t", rows) == Positions{0});
}

TEST_CASE("filter: names and strings beyond ASCII and with escapes", "[filter]") {
  const std::vector<std::string> rows = {R"({"genre":"Ol\u00e1 \ud83d\ude00"})",
                                         "{\"genre\":\"Ol\xc3\xa1 \xf0\x9f\x98\x80\"}",
                                         R"({"genre":"it's \"so\"\n"})", R"({"ge\u006ere":"x"})"};
  CHECK(matching("\"\xc3\xa1\" in .genre", rows) == Positions{0, 1});
  CHECK(matching(R"(.genre == "Ol\u00e1 \ud83d\ude00")", rows) == Positions{0, 1});
  CHECK(matching(R"(.genre == 'it\'s "so"\n')", rows) == Positions{2});
  CHECK(matching(".genre == 'x'", rows) == Positions{3});
}

TEST_CASE("filter: only eligible rows are answered, bits beyond the count are cleared",
          "[filter]") {
  std::vector<std::string> rows;
  for (int i = 0; i < 130; ++i) rows.push_back("{\"year\":" + std::to_string(i) + ",\"x\":1}");
  const auto block = columns_of(kDeclared, rows);
  for (const char* text : {".year % 2 == 0", ".year % 2 == 0 and .x == 1", ".year + .x > 0"}) {
    const Filter filter = parsed(text);
    const bool even = text[6] == '%';
    const std::vector<std::uint64_t> eligible = {0x0f, 0, ~std::uint64_t{0}};
    std::vector<std::uint64_t> out = {1, ~std::uint64_t{0}, ~std::uint64_t{0}};
    CAPTURE(text);
    CHECK(filter.evaluate(block.get(), 130, eligible.data(), out.data()) == (even ? 3U : 6U));
    CHECK(out ==
          (even ? std::vector<std::uint64_t>{5, 0, 1} : std::vector<std::uint64_t>{0x0f, 0, 3}));
    std::vector<std::uint64_t> same = eligible;  // in place
    CHECK(filter.evaluate(block.get(), 130, same.data(), same.data()) == (even ? 3U : 6U));
    CHECK(same == out);
    std::vector<std::uint64_t> one = {~std::uint64_t{0}};
    CHECK(filter.evaluate(block.get(), 1, one.data(), one.data()) == 1U);
    CHECK(one[0] == 1);
    std::vector<std::uint64_t> untouched = {7};
    CHECK(filter.evaluate(block.get(), 0, untouched.data(), untouched.data()) == 0U);
    CHECK(untouched[0] == 7);
  }
}

TEST_CASE("filter: without a block every row has the empty payload", "[filter]") {
  std::vector<std::uint64_t> eligible = {~std::uint64_t{0}, 0x10};
  std::vector<std::uint64_t> out(2);
  CHECK(parsed("1 == 1").evaluate(nullptr, 68, eligible.data(), out.data()) == 64);
  CHECK(out == std::vector<std::uint64_t>{~std::uint64_t{0}, 0});
  CHECK(parsed("1 == 1").evaluate(nullptr, 69, eligible.data(), out.data()) == 65);
  CHECK(parsed("not .a").evaluate(nullptr, 69, eligible.data(), out.data()) == 0);
  CHECK(out == std::vector<std::uint64_t>{0, 0});
}

// -- The naive evaluator
// ------------------------------------------------------------------------------

struct Tree {
  std::string op;  // an operator, "not", "literal" or "field"
  json literal;
  std::string field;
  std::vector<Tree> operands;
};

// Values are json here: null, number, string, array. A boolean is turned into a number on reading.
double naive_number(const json& value) {
  if (value.is_number()) return value.get<double>();
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != std::string::npos) return 0.0;
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  return *end == '\0' ? number : 0.0;
}

bool naive_truth(const json& value) {
  if (value.is_number()) return value.get<double>() != 0.0;
  if (value.is_string()) return value != "";
  return value.is_array() && !value.empty();
}

bool naive_equal(const json& a, const json& b) {
  if (a.is_string() && b.is_string()) return a.get<std::string>() == b.get<std::string>();
  if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
  if (a.is_array() != b.is_array()) return false;
  if (a.is_array()) {
    bool same = a.size() == b.size();
    for (std::size_t i = 0; same && i < a.size(); ++i) same = naive_equal(a[i], b[i]);
    return same;
  }
  return naive_number(a) == naive_number(b);
}

bool naive_in(const json& a, const json& b) {
  if (b.is_array()) {
    return std::any_of(b.begin(), b.end(), [&](const json& item) { return naive_equal(a, item); });
  }
  return a.is_string() && b.is_string() &&
         b.get<std::string>().find(a.get<std::string>()) != std::string::npos;
}

bool naive_has(const Tree& tree, const json& row) {
  if (tree.op == "field") {
    if (!row.contains(tree.field)) return false;
    const json& value = row.at(tree.field);
    if (value.is_object()) return false;
    return !value.is_array() || std::all_of(value.begin(), value.end(), [](const json& item) {
      return item.is_number() || item.is_string();
    });
  }
  return std::all_of(tree.operands.begin(), tree.operands.end(),
                     [&](const Tree& operand) { return naive_has(operand, row); });
}

json naive_value(const Tree& tree, const json& row) {
  if (tree.op == "literal") return tree.literal;
  if (tree.op == "field") {
    const json& value = row.at(tree.field);
    return value.is_boolean() ? json(value.get<bool>() ? 1.0 : 0.0) : value;
  }
  const json a = naive_value(tree.operands[0], row);
  if (tree.op == "not") return naive_truth(a) ? 0.0 : 1.0;
  const json b = naive_value(tree.operands[1], row);
  const double x = naive_number(a);
  const double y = naive_number(b);
  const auto truth = [](bool value) { return json(value ? 1.0 : 0.0); };
  if (tree.op == "**") return std::pow(x, y);
  if (tree.op == "*") return x * y;
  if (tree.op == "/") return x / y;
  if (tree.op == "%") return std::fmod(x, y);
  if (tree.op == "+") return x + y;
  if (tree.op == "-") return x - y;
  if (tree.op == ">") return truth(x > y);
  if (tree.op == ">=") return truth(x >= y);
  if (tree.op == "<") return truth(x < y);
  if (tree.op == "<=") return truth(x <= y);
  if (tree.op == "==") return truth(naive_equal(a, b));
  if (tree.op == "!=") return truth(!naive_equal(a, b));
  if (tree.op == "in") return truth(naive_in(a, b));
  if (tree.op == "and") return truth(naive_truth(a) && naive_truth(b));
  REQUIRE(tree.op == "or");
  return truth(naive_truth(a) || naive_truth(b));
}

const std::vector<std::vector<std::string>> kLevels = {
    {"or"}, {"and"}, {">", ">=", "<", "<=", "==", "!=", "in"}, {"+", "-"}, {"*", "/", "%"}, {"**"}};

int level_of(const std::string& op) {
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    for (const std::string& other : kLevels[i]) {
      if (op == other) return static_cast<int>(i);
    }
  }
  return op == "not" ? 6 : 7;
}

// Writes with as few parentheses as the table of levels allows, so that it tests precedence too.
std::string print(const Tree& tree, int loosest) {
  const int level = level_of(tree.op);
  std::string text;
  if (tree.op == "literal") {
    text = tree.literal.dump();
  } else if (tree.op == "field") {
    text = "." + tree.field;
  } else if (tree.op == "not") {
    text = "not " + print(tree.operands[0], level);
  } else {
    const bool right_to_left = tree.op == "**";
    text = print(tree.operands[0], right_to_left ? level + 1 : level) + " " + tree.op + " " +
           print(tree.operands[1], right_to_left ? level : level + 1);
  }
  return level < loosest ? "(" + text + ")" : text;
}

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  Tree tree(int depth) {
    if (depth == 0 || below(8) == 0) return leaf();
    const std::uint64_t kind = below(10);
    if (kind < 3) {  // what columns are quick at
      static const std::vector<std::string> kOps = {">", ">=", "<", "<=", "==", "!=", "in"};
      Tree left = field();
      Tree right = literal();
      if (below(4) == 0) std::swap(left, right);
      return {kOps[below(kOps.size())], {}, {}, {std::move(left), std::move(right)}};
    }
    if (kind < 4) return {"not", {}, {}, {tree(depth - 1)}};
    const auto& level = kLevels[kind < 7 ? below(2) : below(kLevels.size())];
    return {level[below(level.size())], {}, {}, {tree(depth - 1), tree(depth - 1)}};
  }

  // Fields a to d may be declared; e and f hold anything.
  json row(const std::vector<FieldOptions>& declared) {
    json out = json::object();
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
      if (below(12) == 0) continue;
      const auto at = std::find_if(declared.begin(), declared.end(),
                                   [&](const FieldOptions& field) { return field.name == name; });
      if (at == declared.end()) {
        out[name] = any();
      } else if (below(8) == 0) {
        out[name] = nullptr;
      } else if (at->type == FieldType::boolean) {
        out[name] = below(2) == 0;
      } else {
        out[name] = at->type == FieldType::number ? number() : text();
      }
    }
    return out;
  }

  std::vector<FieldOptions> schema() {
    std::vector<FieldOptions> fields;
    for (const char* name : {"d", "b", "a", "c"}) {
      if (below(3) != 0) fields.push_back({name, static_cast<FieldType>(below(3))});
    }
    return fields;
  }

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

 private:
  Tree leaf() { return below(3) == 0 ? literal() : field(); }
  Tree field() { return {"field", {}, std::string(1, static_cast<char>('a' + below(6))), {}}; }
  Tree literal() {
    json value;
    const std::uint64_t kind = below(8);
    if (kind < 3) {
      value = number();
    } else if (kind < 5) {
      value = text();
    } else if (kind < 7) {
      value = list();
    }
    return {"literal", value, {}, {}};
  }
  json number() {
    static const std::vector<double> kNumbers = {0, 1, -1, 2, 3, 0.5, -2.5, 10, 1990, 1e10};
    return kNumbers[below(kNumbers.size())];
  }
  json text() {
    static const std::vector<std::string> kTexts = {"",  "a", "ab",  "b",    "1",
                                                    "2", "x", "0.5", "1e10", "\xc3\xa9\n\""};
    return kTexts[below(kTexts.size())];
  }
  json list() {
    json out = json::array();
    for (std::uint64_t n = below(4) == 0 ? below(12) : below(3); n > 0; --n) {
      out.push_back(below(2) == 0 ? number() : text());
    }
    return out;
  }
  json any() {
    switch (below(10)) {
      case 0:
        return nullptr;
      case 1:
        return json::object({{"a", 1}});
      case 2:
        return below(2) == 0;
      case 3:
        return json::array({1, nullptr});
      case 4:
      case 5:
        return list();
      case 6:
      case 7:
        return text();
      default:
        return number();
    }
  }

  std::mt19937_64 random_;
};

TEST_CASE("filter: columns, JSON and a naive evaluator agree on random expressions", "[filter]") {
  std::uint64_t matches = 0;
  std::uint64_t answers = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    Maker make(seed);
    const std::vector<FieldOptions> declared = make.schema();
    std::vector<json> rows;
    std::vector<std::string> payloads;
    for (std::uint64_t n = 1 + make.below(150); n > 0; --n) {
      rows.push_back(make.row(declared));
      payloads.push_back(make.below(20) == 0 ? "" : rows.back().dump());
      if (payloads.back().empty()) rows.back() = json::object();
    }
    const auto count = static_cast<std::uint32_t>(rows.size());
    const auto columns = columns_of(declared, payloads);
    const auto texts = columns_of({}, payloads);
    for (int i = 0; i < 20; ++i) {
      const Tree tree = make.tree(static_cast<int>(make.below(5)));
      const std::string text = print(tree, 0);
      CAPTURE(text);
      const Filter filter = parsed(text);
      std::vector<std::uint64_t> eligible(all_bits(count).size());
      for (std::uint64_t& word : eligible) word = make.below(3) == 0 ? make.below(~0ULL) : ~0ULL;
      std::vector<std::uint64_t> expected(eligible.size());
      for (std::uint32_t p = 0; p < count; ++p) {
        const bool match = naive_has(tree, rows[p]) && naive_truth(naive_value(tree, rows[p]));
        if (filter.matches(payloads[p]) != match) FAIL("matches() of " << payloads[p]);
        if (match) expected[p / 64] |= (std::uint64_t{1} << (p % 64)) & eligible[p / 64];
      }
      std::uint32_t total = 0;
      for (const std::uint64_t word : expected) {
        total += static_cast<std::uint32_t>(std::popcount(word));
      }
      std::vector<std::uint64_t> out(eligible.size());
      REQUIRE(filter.evaluate(columns.get(), count, eligible.data(), out.data()) == total);
      REQUIRE(out == expected);
      REQUIRE(filter.evaluate(texts.get(), count, eligible.data(), out.data()) == total);
      REQUIRE(out == expected);
      matches += total;
      answers += count;
    }
  }
  // Neither nothing nor everything, or the property would say little.
  CHECK(matches > answers / 10);
  CHECK(matches < answers / 2);
}

}  // namespace
