// Tests of engine/payload/filter_value.cc: conversion, truth, equality and arithmetic of the filter
// language, value by value, and the interpreter on a program that is written down by hand, so that
// the parser has no part in it. One thread.
#include "engine/payload/filter_value.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

using namespace vecserve::engine;  // NOLINT: the names under test
using Kind = FieldValue::Kind;

FilterValue num(double value) {
  return FilterValue(value);
}
FilterValue str(std::string_view value) {
  return FilterValue(value);
}
const FilterValue kNull;

struct List {
  explicit List(std::vector<FieldValue> values) : items(std::move(values)) {
    value.kind = Kind::list;
    value.items = items;
  }
  std::vector<FieldValue> items;
  FilterValue value;
};
FieldValue item(double value) {
  return {Kind::number, value, {}, {}};
}
FieldValue item(int value) {
  return item(static_cast<double>(value));
}
FieldValue item(const char* value) {
  return {Kind::string, 0.0, value, {}};
}

TEST_CASE("filter: a string is the number that it spells, else 0", "[filter]") {
  const std::vector<std::pair<std::string, double>> cases = {
      {"0", 0},      {"12", 12},    {"-12", -12},  {"+12", 12}, {"1.5", 1.5}, {".5", 0.5},
      {"-.5", -0.5}, {"1e3", 1000}, {"2E-1", 0.2}, {"007", 7},  {"", 0},      {"-", 0},
      {"+", 0},      {".", 0},      {"abc", 0},    {"12a", 0},  {" 12", 0},   {"12 ", 0},
      {"0x10", 0},   {"inf", 0},    {"-inf", 0},   {"nan", 0},  {"-nan", 0},  {"1e999", 0},
      {"--1", 0},    {"+-1", 0},    {"-+1", 0},    {"1e", 0},   {"1,5", 0},   {"infinity", 0}};
  for (const auto& [text, value] : cases) {
    CAPTURE(text);
    CHECK(parse_number(text) == value);
    CHECK(to_number(str(text)) == value);
  }
  CHECK(to_number(kNull) == 0.0);
  CHECK(to_number(List({item(5)}).value) == 0.0);
  CHECK(to_number(num(-3.5)) == -3.5);
}

TEST_CASE("filter: truth of every kind of value", "[filter]") {
  CHECK(is_true(num(0.1)));
  CHECK(is_true(num(-1)));
  CHECK_FALSE(is_true(num(0.0)));
  CHECK_FALSE(is_true(num(-0.0)));
  CHECK(is_true(num(std::nan(""))));
  CHECK(is_true(str("0")));
  CHECK_FALSE(is_true(str("")));
  CHECK(is_true(List({item(0)}).value));
  CHECK_FALSE(is_true(List({}).value));
  CHECK_FALSE(is_true(kNull));
}

TEST_CASE("filter: equality of every pair of kinds", "[filter]") {
  CHECK(is_equal(num(2), num(2)));
  CHECK(is_equal(num(0.0), num(-0.0)));
  CHECK_FALSE(is_equal(num(std::nan("")), num(std::nan(""))));
  CHECK(is_equal(str("a"), str("a")));
  CHECK_FALSE(is_equal(str("a"), str("A")));
  CHECK_FALSE(is_equal(str("1"), str("1.0")));  // bytes, not numbers
  CHECK(is_equal(num(1), str("1.0")));
  CHECK(is_equal(str("1.0"), num(1)));
  CHECK(is_equal(num(0), str("abc")));
  CHECK(is_equal(num(0), str("")));
  CHECK_FALSE(is_equal(num(1), str("abc")));
  CHECK(is_equal(kNull, kNull));
  for (const FilterValue& other : {num(0), str(""), str("null")}) {
    CHECK_FALSE(is_equal(kNull, other));
    CHECK_FALSE(is_equal(other, kNull));
  }
  const List list({item(1), item("a")});
  CHECK(is_equal(list.value, List({item(1), item("a")}).value));
  CHECK(is_equal(list.value, List({item("1"), item("a")}).value));
  CHECK_FALSE(is_equal(list.value, List({item("a"), item(1)}).value));
  CHECK_FALSE(is_equal(list.value, List({item(1)}).value));
  CHECK(is_equal(List({}).value, List({}).value));
  for (const FilterValue& other : {num(0), str(""), kNull}) {
    CHECK_FALSE(is_equal(List({}).value, other));
    CHECK_FALSE(is_equal(other, list.value));
  }
}

TEST_CASE("filter: in looks through lists and into strings, and nowhere else", "[filter]") {
  const List list({item(1), item("jazz"), item("2")});
  CHECK(is_in(num(1), list.value));
  CHECK(is_in(str("1"), list.value));
  CHECK(is_in(num(2), list.value));
  CHECK(is_in(str("jazz"), list.value));
  CHECK_FALSE(is_in(str("ja"), list.value));
  CHECK(is_in(num(0), list.value));  // "jazz" spells 0
  CHECK_FALSE(is_in(kNull, list.value));
  CHECK_FALSE(is_in(list.value, list.value));
  CHECK_FALSE(is_in(num(0), List({}).value));
  CHECK(is_in(str("foo"), str("barfoo")));
  CHECK(is_in(str(""), str("")));
  CHECK(is_in(str(""), str("a")));
  CHECK_FALSE(is_in(str("barfoo"), str("foo")));
  CHECK_FALSE(is_in(num(1), str("1")));
  CHECK_FALSE(is_in(str("1"), num(1)));
  CHECK_FALSE(is_in(str("a"), kNull));
  CHECK_FALSE(is_in(kNull, kNull));
}

double result(FilterOp op, const FilterValue& a, const FilterValue& b) {
  const FilterValue value = apply_binary(op, a, b);
  REQUIRE(value.kind == Kind::number);
  return value.number;
}

TEST_CASE("filter: arithmetic follows doubles and converts strings", "[filter]") {
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(result(FilterOp::add, num(1), str("2")) == 3.0);
  CHECK(result(FilterOp::add, str("a"), str("b")) == 0.0);
  CHECK(result(FilterOp::subtract, str("5"), num(7)) == -2.0);
  CHECK(result(FilterOp::multiply, num(3), kNull) == 0.0);
  CHECK(result(FilterOp::divide, num(1), num(0)) == infinity);
  CHECK(result(FilterOp::divide, num(-1), num(0)) == -infinity);
  CHECK(std::isnan(result(FilterOp::divide, num(0), num(0))));
  CHECK(result(FilterOp::modulo, num(-7.5), num(2)) == -1.5);
  CHECK(result(FilterOp::modulo, num(7), num(-4)) == 3.0);
  CHECK(std::isnan(result(FilterOp::modulo, num(7), num(0))));
  CHECK(result(FilterOp::power, num(2), num(0.5)) == std::sqrt(2.0));
  CHECK(std::isnan(result(FilterOp::power, num(-1), num(0.5))));
}

TEST_CASE("filter: comparisons are numeric, and NaN is not comparable", "[filter]") {
  CHECK(result(FilterOp::greater, str("10"), str("9")) == 1.0);
  CHECK(result(FilterOp::greater, str("b"), str("a")) == 0.0);
  CHECK(result(FilterOp::greater_equal, str("b"), str("a")) == 1.0);  // 0 >= 0
  CHECK(result(FilterOp::less, kNull, num(1)) == 1.0);
  CHECK(result(FilterOp::less_equal, num(2), num(2)) == 1.0);
  const FilterValue nan = num(std::nan(""));
  for (const FilterOp op : {FilterOp::greater, FilterOp::greater_equal, FilterOp::less,
                            FilterOp::less_equal, FilterOp::equal}) {
    CHECK(result(op, nan, num(1)) == 0.0);
    CHECK(result(op, num(1), nan) == 0.0);
    CHECK(result(op, nan, nan) == 0.0);
  }
  CHECK(result(FilterOp::not_equal, nan, nan) == 1.0);
  CHECK(result(FilterOp::logical_and, str("a"), num(2)) == 1.0);
  CHECK(result(FilterOp::logical_and, str(""), num(2)) == 0.0);
  CHECK(result(FilterOp::logical_or, str(""), kNull) == 0.0);
  CHECK(result(FilterOp::logical_or, num(7), kNull) == 1.0);
}

TEST_CASE("filter: the interpreter computes any node of a program", "[filter]") {
  // not (.a > 2) + 10: the code of the parts stands before that of the whole.
  FilterProgram program;
  program.literals = {item(2), item(10)};
  program.fields = {"a"};
  program.stack_max = 2;
  program.code = {{FilterOp::field, false, 0, 0},   {FilterOp::literal, true, 0, 1},
                  {FilterOp::greater, false, 0, 0}, {FilterOp::logical_not, false, 0, 0},
                  {FilterOp::literal, true, 1, 4},  {FilterOp::add, false, 0, 0}};
  std::vector<FilterValue> stack(2);
  std::vector<FilterValue> fields = {num(3)};
  CHECK(program.root() == 5);
  CHECK(FilterProgram::right(5) == 4);
  CHECK(program.left(5) == 3);
  CHECK(program.left(2) == 0);
  CHECK(run_node(program, 2, fields, stack).number == 1.0);
  CHECK(run_node(program, 4, fields, stack).number == 10.0);
  CHECK(run_node(program, 5, fields, stack).number == 10.0);
  fields[0] = str("1");
  CHECK(run_node(program, 5, fields, stack).number == 11.0);
}

}  // namespace
