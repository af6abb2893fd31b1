// What values mean in the filter language: conversion, truth, equality, arithmetic; and the
// interpreter that computes one node of a program for one row. Comes after filter_program; the
// rules themselves are written at the head of filter_parser.cc. Pure functions, any thread, no
// allocation.
#pragma once

#include <span>
#include <string_view>

#include "engine/payload/filter_program.h"

namespace vecserve::engine {

// A value that somebody else owns: a literal, a column's entry or a field read from JSON.
struct FilterValue {
  FieldValue::Kind kind = FieldValue::Kind::null;  // never missing
  double number = 0.0;
  std::string_view text{};
  std::span<const FieldValue> items{};

  FilterValue() = default;
  explicit FilterValue(double value) : kind(FieldValue::Kind::number), number(value) {}
  explicit FilterValue(std::string_view value) : kind(FieldValue::Kind::string), text(value) {}
  explicit FilterValue(const FieldValue& value)
      : kind(value.kind), number(value.number), text(value.text), items(value.items) {}
};

// A string as a number: sign, digits, fraction, exponent and nothing else; 0 otherwise.
[[nodiscard]] double parse_number(std::string_view text);

[[nodiscard]] double to_number(const FilterValue& value);
[[nodiscard]] bool is_true(const FilterValue& value);
[[nodiscard]] bool is_equal(const FilterValue& a, const FilterValue& b);
[[nodiscard]] bool is_in(const FilterValue& needle, const FilterValue& hay);
[[nodiscard]] FilterValue apply_binary(FilterOp op, const FilterValue& a, const FilterValue& b);

// The value of `node`. fields[f] belongs to program.fields[f]; only those that the node uses need
// be filled. `stack` has room for program.stack_max values.
[[nodiscard]] FilterValue run_node(const FilterProgram& program, std::uint32_t node,
                                   std::span<const FilterValue> fields,
                                   std::span<FilterValue> stack);

}  // namespace vecserve::engine
