// The payload side of one row block: the JSON text of each row and one typed column per declared
// field, indexed by the same positions as the RowBlock whose companion it is. Filled by the one
// committing thread; read by filters for positions below a published count.
// Always holds: what is published never changes and never moves; a text is "" when the row has
// none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/payload/document.h"

namespace vecserve::engine {

class ColumnBlock {
 public:
  // `fields` must outlive the block. May throw std::bad_alloc. A collection whose rows carry no
  // payload and no fields costs nothing here until the first payload comes.
  ColumnBlock(FieldList fields, std::uint32_t capacity);
  ~ColumnBlock();

  // -- The committing thread only ---------------------------------------------------------------
  // Position `position` must be
  // the next one or one that truncate() took back. `values` as check_payload filled them. May throw
  // std::bad_alloc and then has changed nothing readers see.
  void append(std::uint32_t position, std::string_view text, std::span<const FieldValue> values);

  // -- Any thread, for published positions ------------------------------------------------------
  [[nodiscard]] std::string_view text(std::uint32_t position) const;

  // A declared column. kinds[p] is FieldValue::Kind (missing, null, number, string). For number and
  // boolean fields numbers[p] holds the value; for string fields strings[p]. Null when nothing was
  // ever stored in that column: then every row is `missing`.
  struct Column {
    const std::uint8_t* kinds = nullptr;
    const double* numbers = nullptr;
    const std::string_view* strings = nullptr;
  };
  [[nodiscard]] Column column(std::uint32_t field) const;
  [[nodiscard]] FieldList fields() const { return fields_; }
  [[nodiscard]] std::size_t memory_bytes() const;  // texts and columns, capacity included

 private:
  struct Data;
  FieldList fields_;
  std::unique_ptr<Data> data_;
};

}  // namespace vecserve::engine
