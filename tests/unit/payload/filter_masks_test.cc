// Tests of engine/payload/filter_masks.cc: each shape of column loop gives what the row interpreter
// gives, for dense and sparse words, full and partial ones, and touches no row beyond those
// published. One thread.
#include "engine/payload/filter_masks.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace vecserve::engine;  // NOLINT: the names under test
using vecserve::FieldOptions;
using vecserve::FieldType;
using Kind = FieldValue::Kind;

FieldValue number(double value) {
  return {Kind::number, value, {}, {}};
}
FieldValue text(std::string value) {
  return {Kind::string, 0.0, std::move(value), {}};
}
FieldValue list(std::vector<FieldValue> items) {
  return {Kind::list, 0.0, {}, std::move(items)};
}

constexpr std::uint32_t kNumberField = 0;
constexpr std::uint32_t kStringField = 1;

// Rows of one number and one string column; every kind but missing.
struct Rows {
  std::vector<std::uint8_t> number_kinds;
  std::vector<double> numbers;
  std::vector<std::uint8_t> string_kinds;
  std::vector<std::string_view> strings;

  explicit Rows(std::uint32_t count, std::mt19937_64& random) {
    static const std::vector<std::string> kTexts = {"", "jazz", "soul", "7", "x", "jaz"};
    for (std::uint32_t i = 0; i < count; ++i) {
      const bool null = random() % 5 == 0;
      number_kinds.push_back(static_cast<std::uint8_t>(null ? Kind::null : Kind::number));
      numbers.push_back(null ? 0.0 : static_cast<double>(random() % 5) - 2.0);
      const bool null_text = random() % 5 == 0;
      string_kinds.push_back(static_cast<std::uint8_t>(null_text ? Kind::null : Kind::string));
      strings.push_back(null_text ? std::string_view() : kTexts[random() % kTexts.size()]);
    }
  }
  [[nodiscard]] std::vector<ColumnBlock::Column> columns() const {
    return {{number_kinds.data(), numbers.data(), nullptr},
            {string_kinds.data(), nullptr, strings.data()}};
  }
};

FilterProgram with_literal(FieldValue literal) {
  FilterProgram program;
  program.literals.push_back(std::move(literal));
  program.fields = {"n", "s"};
  program.stack_max = 2;
  return program;
}

FilterProgram binary(FilterOp op, std::uint32_t field, FieldValue literal, bool swapped) {
  FilterProgram program = with_literal(std::move(literal));
  FilterInstruction left{FilterOp::field, false, field, 0};
  FilterInstruction right{FilterOp::literal, true, 0, 1};
  if (swapped) {
    left = {FilterOp::literal, true, 0, 0};
    right = {FilterOp::field, false, field, 1};
  }
  program.code = {left, right, {op, false, 0, 0}};
  return program;
}

// Builds the root and compares it with the interpreter for many words.
void check_against_interpreter(const FilterProgram& program, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (const std::uint32_t count : {1U, 63U, 64U, 65U, 200U}) {
    const Rows rows(count, random);
    const auto columns = rows.columns();
    FilterMasks masks(program, columns);
    const std::uint32_t part = masks.build(program.root());
    std::vector<FilterValue> stack(program.stack_max);
    for (std::uint32_t first = 0; first < count; first += 64) {
      const FilterMasks::Word word{first, std::min(64U, count - first)};
      const std::uint64_t published =
          word.rows == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << word.rows) - 1;
      for (const std::uint64_t pattern :
           {~std::uint64_t{0}, std::uint64_t{1}, random(),
            random() & random() & random() & random(), std::uint64_t{1} << 63, std::uint64_t{0}}) {
        const std::uint64_t active = pattern & published;
        std::uint64_t expected = 0;
        for (std::uint32_t i = 0; i < word.rows; ++i) {
          const std::vector<FilterValue> fields = {FilterMasks::value_at(columns[0], first + i),
                                                   FilterMasks::value_at(columns[1], first + i)};
          const bool match = is_true(run_node(program, program.root(), fields, stack));
          if (match) expected |= std::uint64_t{1} << i;
        }
        CAPTURE(seed, count, first, active);
        REQUIRE(masks.match(part, word, active) == (expected & active));
      }
    }
  }
}

TEST_CASE("masks: every comparison of a column and a constant", "[filter]") {
  const std::vector<FieldValue> literals = {
      number(0),
      number(1),
      number(-2),
      text("1"),
      text("x"),
      text(""),
      text("jazz"),
      FieldValue{Kind::null, 0.0, {}, {}},
      list({}),
      list({number(1), number(0)}),
      list({text("soul"), text("")}),
      list({number(7), text("x")}),
      list({text("1"), text("a"), text("b"), text("c"), text("d"), text("e"), text("jazz"),
            text("g"), text("h"), text("i")}),
      list({number(9), number(8), number(1), number(6), number(-1), number(5), number(4),
            number(33), number(20), number(11)})};
  for (const FilterOp op :
       {FilterOp::greater, FilterOp::greater_equal, FilterOp::less, FilterOp::less_equal,
        FilterOp::equal, FilterOp::not_equal, FilterOp::in, FilterOp::add, FilterOp::power,
        FilterOp::logical_and, FilterOp::logical_or}) {
    for (const FieldValue& literal : literals) {
      for (const std::uint32_t field : {kNumberField, kStringField}) {
        for (const bool swapped : {false, true}) {
          CAPTURE(static_cast<int>(op), static_cast<int>(literal.kind), literal.number,
                  literal.text, literal.items.size(), field, swapped);
          check_against_interpreter(binary(op, field, literal, swapped), 11);
        }
      }
    }
  }
}

TEST_CASE("masks: bare fields, their negation and constants", "[filter]") {
  for (const std::uint32_t field : {kNumberField, kStringField}) {
    FilterProgram program = with_literal(number(0));
    program.code = {{FilterOp::field, false, field, 0}};
    check_against_interpreter(program, 12);
    program.code.push_back({FilterOp::logical_not, false, 0, 0});
    check_against_interpreter(program, 13);
  }
  for (const double value : {0.0, 2.0}) {
    FilterProgram program = with_literal(number(value));
    program.code = {{FilterOp::literal, true, 0, 0}};
    check_against_interpreter(program, 14);
  }
}

TEST_CASE("masks: two columns against each other", "[filter]") {
  for (const FilterOp op : {FilterOp::less, FilterOp::equal, FilterOp::in, FilterOp::not_equal}) {
    FilterProgram program = with_literal(number(0));
    program.code = {{FilterOp::field, false, kStringField, 0},
                    {FilterOp::field, false, kNumberField, 1},
                    {op, false, 0, 0}};
    check_against_interpreter(program, 15);
  }
}

TEST_CASE("masks: a chain of many terms does not recurse", "[filter]") {
  for (const FilterOp op : {FilterOp::logical_and, FilterOp::logical_or}) {
    FilterProgram program = with_literal(number(1));
    program.code = {{FilterOp::field, false, kNumberField, 0}};
    for (std::uint32_t i = 0; i < 30'000; ++i) {
      const auto at = static_cast<std::uint32_t>(program.code.size());
      program.code.push_back({FilterOp::field, false, i % 2, at});
      program.code.push_back({op, false, 0, 0});
    }
    std::mt19937_64 random(16);
    const Rows rows(64, random);
    const auto columns = rows.columns();
    FilterMasks masks(program, columns);
    const std::uint32_t part = masks.build(program.root());
    std::uint64_t expected = 0;
    for (std::uint32_t i = 0; i < 64; ++i) {
      const bool n = rows.numbers[i] != 0.0;
      const bool s = !rows.strings[i].empty();
      if (op == FilterOp::logical_and ? n && s : n || s) expected |= std::uint64_t{1} << i;
    }
    CHECK(masks.match(part, {0, 64}, ~std::uint64_t{0}) == expected);
  }
}

}  // namespace
