// A parsed filter: operators in postfix order over literals and fields. Made by filter_parser, run
// by filter_value (row by row) and filter_masks (64 rows at a time). Immutable once made; any
// thread. Always holds: code is one complete expression in postfix order; every operand index is in
// range; field names are unique and in byte order; running the code takes at most stack_max values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/payload/document.h"

namespace vecserve::engine {

enum class FilterOp : std::uint8_t {
  literal,  // operand: index into literals
  field,    // operand: index into fields
  logical_not,
  power,
  multiply,
  divide,
  modulo,
  add,
  subtract,
  greater,
  greater_equal,
  less,
  less_equal,
  equal,
  not_equal,
  in,
  logical_and,
  logical_or,
};

// One node of the expression, at the place where it is computed: behind its operands.
struct FilterInstruction {
  FilterOp op = FilterOp::literal;
  bool constant = true;       // no field below this node
  std::uint32_t operand = 0;  // for literal and field
  std::uint32_t begin = 0;    // the first instruction of this node's own expression
};

struct FilterProgram {
  std::vector<FilterInstruction> code;
  std::vector<FieldValue> literals;
  std::vector<std::string> fields;
  std::uint32_t stack_max = 0;

  // A node is named by its index in code. A binary node's right operand ends just before it, and
  // its left operand just before the right one begins; `not` has a right operand only.
  [[nodiscard]] std::uint32_t root() const { return static_cast<std::uint32_t>(code.size()) - 1; }
  [[nodiscard]] static std::uint32_t right(std::uint32_t node) { return node - 1; }
  [[nodiscard]] std::uint32_t left(std::uint32_t node) const { return code[node - 1].begin - 1; }
};

}  // namespace vecserve::engine
