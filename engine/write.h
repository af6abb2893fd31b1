// The write calls of a collection: check and encode, queue for the group commit, wait. Comes after
// the public Collection, before the committer. Runs on the caller's thread, any number at once.
// Always holds: on an error nothing of the call was applied.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/collection_core.h"
#include "engine/write_op.h"

namespace vecserve::engine {

[[nodiscard]] Result<WriteResult> write_rows(const std::shared_ptr<CollectionCore>& core,
                                             WriteOp::Kind kind, std::span<const RowInput> rows,
                                             const WriteOptions& options);

[[nodiscard]] Result<WriteResult> erase_rows(const std::shared_ptr<CollectionCore>& core,
                                             std::span<const RowId> ids,
                                             const WriteOptions& options);

[[nodiscard]] Result<WriteResult> erase_matching(const std::shared_ptr<CollectionCore>& core,
                                                 std::string_view filter,
                                                 const WriteOptions& options);

// Erases those of the rows that still stand in their slots.
[[nodiscard]] Result<WriteResult> erase_slots(const std::shared_ptr<CollectionCore>& core,
                                              std::vector<SlotToErase> slots,
                                              const WriteOptions& options);

}  // namespace vecserve::engine
