// Ties a row block to its payload side: the ColumnBlock that lives exactly as long and is indexed
// by the same positions. Rows know nothing of payloads and payloads nothing of vectors; whoever
// needs both (stage, load, rewrite, search, read) goes through here. Threads as RowBlock and
// ColumnBlock say: one writer, readers at published positions. Always holds: every block made here
// has a ColumnBlock.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "engine/payload/column_block.h"
#include "engine/rows/row_block.h"

namespace vecserve::engine {

// An empty block with its payload side. `fields` must outlive it. A collection's first block is for
// sparse use, since many collections stay small; the others will be filled. May throw
// std::bad_alloc.
[[nodiscard]] std::shared_ptr<RowBlock> make_payload_block(
    const RowShape& shape, FieldList fields, AlignedBuffer::Use use = AlignedBuffer::Use::sparse,
    RowBlock::Planes planes = RowBlock::Planes::with_rows);

[[nodiscard]] const ColumnBlock& columns_of(const RowBlock& block);

// For the row that is appended next; before RowBlock::append. May throw std::bad_alloc.
void append_payload(RowBlock& block, std::string_view text, std::span<const FieldValue> values);

[[nodiscard]] std::string_view payload_text(const RowBlock& block, std::uint32_t position);

// The declared fields of a row, as check_payload would give them; values.size() of them.
void payload_fields(const RowBlock& block, std::uint32_t position, std::span<FieldValue> values);

}  // namespace vecserve::engine
