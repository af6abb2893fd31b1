// A filter's column side for one block: the expression turned into a tree whose nodes answer for 64
// rows at once. Comes after filter_parser; driven by filter_eval, which drops the rows that lack a
// field. One object per evaluation, one thread. Always holds: touches only rows whose bit is set or
// that lie below `rows`, which are published; nothing is allocated after build().
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/payload/column_block.h"
#include "engine/payload/filter_program.h"
#include "engine/payload/filter_value.h"

namespace vecserve::engine {

class FilterMasks {
 public:
  // columns[f] belongs to program.fields[f]. Both must outlive this object. Columns may change
  // after build(), to those of the same fields in another block.
  FilterMasks(const FilterProgram& program, std::span<const ColumnBlock::Column> columns);

  // Adds a part of the expression, all of whose fields have a column; returns its name for match().
  // May throw std::bad_alloc.
  std::uint32_t build(std::uint32_t node);

  // 64 rows: the first is at position `first`, `rows` of them are published.
  struct Word {
    std::uint32_t first = 0;
    std::uint32_t rows = 64;
  };
  // Which of the `active` rows match. Of a row that lacks a field of the part, the answer means
  // nothing.
  [[nodiscard]] std::uint64_t match(std::uint32_t part, Word word, std::uint64_t active);

  // The same for rows [0, rows) of a block: clears the bits of those that do not match. Bits at or
  // above `rows` are clear already.
  void narrow(std::uint32_t part, std::uint32_t rows, std::uint64_t* bits);

  // The entry of a column as a value.
  [[nodiscard]] static FilterValue value_at(const ColumnBlock::Column& column,
                                            std::uint32_t position);

 private:
  enum class Shape : std::uint8_t {
    constant,       // op is literal: all match when number is not 0
    all_of,         // every child
    any_of,         // at least one child
    negation,       // not the one child
    compare,        // a column of numbers against a number, by op
    number_in,      // the number is one of list_numbers_
    string_equal,   // the string is text
    string_in,      // the string is one of list_texts_
    null_value,     // the entry is null
    string_filled,  // the string is not empty
    row,            // the interpreter decides
  };
  struct Part {
    Shape shape = Shape::row;
    FilterOp op = FilterOp::literal;
    std::uint32_t node = 0;
    std::uint32_t begin = 0;  // a range of children_, list_numbers_, list_texts_ or row_fields_
    std::uint32_t end = 0;
    double number = 0.0;
    std::string_view text;
    std::uint32_t field = 0;  // whose column
  };

  std::uint32_t add(const Part& part);
  std::uint32_t build_chain(std::uint32_t node, FilterOp op);
  std::uint32_t build_row(std::uint32_t node);
  std::uint32_t negate(std::uint32_t part);
  // These return false when the node has another shape.
  bool build_field(std::uint32_t node, Part& part) const;
  bool build_order(std::uint32_t node, Part& part) const;
  bool build_equal(std::uint32_t node, Part& part) const;
  bool build_in(std::uint32_t node, Part& part);
  // The operands of a binary node as a field and a literal; `swapped` when the literal is on the
  // left.
  struct Operands {
    const ColumnBlock::Column* column = nullptr;
    std::uint32_t field = 0;
    const FieldValue* literal = nullptr;
    bool swapped = false;
  };
  [[nodiscard]] Operands operands(std::uint32_t node) const;

  std::uint64_t match_chain(const Part& part, Word word, std::uint64_t active);
  std::uint64_t match_row(const Part& part, Word word, std::uint64_t active);

  const FilterProgram& program_;
  std::span<const ColumnBlock::Column> columns_;
  std::vector<Part> parts_;
  std::vector<std::uint32_t> children_;
  std::vector<double> list_numbers_;          // each list sorted
  std::vector<std::string_view> list_texts_;  // each list sorted
  std::vector<std::uint32_t> row_fields_;
  std::vector<FilterValue> values_;  // of one row, for the interpreter
  std::vector<FilterValue> stack_;
};

}  // namespace vecserve::engine
