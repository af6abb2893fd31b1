// See payload_rows.h.
// Runs on the committing thread, on the parts of a load, and on readers.
// Always holds: columns and texts of a block are never touched at unpublished positions by readers.
#include "engine/payload_rows.h"

#include <string>

namespace vecserve::engine {

namespace {

ColumnBlock& writable_columns(RowBlock& block) {
  return *static_cast<ColumnBlock*>(block.companion());
}

}  // namespace

std::shared_ptr<RowBlock> make_payload_block(const RowShape& shape, FieldList fields,
                                             AlignedBuffer::Use use, RowBlock::Planes planes) {
  auto block = std::make_shared<RowBlock>(shape, use, planes);
  block->set_companion(std::make_shared<ColumnBlock>(fields, shape.capacity));
  return block;
}

const ColumnBlock& columns_of(const RowBlock& block) {
  return *static_cast<const ColumnBlock*>(block.companion());
}

void append_payload(RowBlock& block, std::string_view text, std::span<const FieldValue> values) {
  writable_columns(block).append(block.size(), text, values);
}

std::string_view payload_text(const RowBlock& block, std::uint32_t position) {
  return columns_of(block).text(position);
}

void payload_fields(const RowBlock& block, std::uint32_t position, std::span<FieldValue> values) {
  const ColumnBlock& columns = columns_of(block);
  for (std::uint32_t field = 0; field < values.size(); ++field) {
    const ColumnBlock::Column column = columns.column(field);
    FieldValue& value = values[field];
    value = FieldValue{};
    if (column.kinds == nullptr) {
      continue;
    }
    value.kind = static_cast<FieldValue::Kind>(column.kinds[position]);
    if (value.kind == FieldValue::Kind::number) {
      value.number = column.numbers[position];
    } else if (value.kind == FieldValue::Kind::string) {
      value.text = column.strings[position];
    }
  }
}

}  // namespace vecserve::engine
