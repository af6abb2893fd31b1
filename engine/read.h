// The reading calls of a collection that are not searches: rows by id, and counting. Comes after
// the public Collection. Runs on the caller's thread. Always holds: all rows of one call are from
// one moment, which is not before the call began.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/collection_core.h"

namespace vecserve::engine {

// One entry per id. `with` null: rows are only looked for, and come back without content.
[[nodiscard]] Result<std::vector<std::optional<Row>>> read_rows(const CollectionCore& core,
                                                                std::span<const RowId> ids,
                                                                const GetOptions* with);

[[nodiscard]] Result<std::uint64_t> count_rows(const CollectionCore& core, std::string_view filter);

// The row at a place of a snapshot, as the public API shows it.
[[nodiscard]] Row make_row(const RowShape& shape, const RowBlock& block, std::uint32_t position,
                           std::uint64_t now_ms, bool with_payload, bool with_vector);

}  // namespace vecserve::engine
