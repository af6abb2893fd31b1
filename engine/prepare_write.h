// Checks a write and encodes it, on the caller's thread, so that the group commit has only to copy.
// Comes after the public call, before the committer.
// Always holds: an error names the field and nothing was applied; a prepared op refers to the
// caller's ids and payloads, which must stay until the call returns.
#pragma once

#include <span>

#include "engine/collection_core.h"
#include "engine/write_op.h"

namespace vecserve::engine {

// Fills op.rows and its buffers for Kind::upsert, insert or update; op.core, kind and now_ms are
// set.
[[nodiscard]] Status prepare_rows(std::span<const RowInput> rows, WriteOp& op);

// Fills op.erases for Kind::erase.
[[nodiscard]] Status prepare_erases(std::span<const RowId> ids, WriteOp& op);

[[nodiscard]] Status check_id(const RowId& id, const char* field);

}  // namespace vecserve::engine
