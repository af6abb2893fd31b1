// Gives memory back: full blocks with many dead rows are copied, live rows only, into fewer blocks
// and swapped in, while searches and writes go on. Runs on the background thread; the swap itself
// is queued like a write. Always holds: rows keep their slots, so the index and the store are not
// touched; a row that dies during the copy is dead in the copy.
#pragma once

#include <memory>

#include "engine/collection_core.h"

namespace vecserve::engine {

// One pass over a collection; returns how many blocks were given back. Copies at most one block's
// worth of rows at a time.
[[nodiscard]] Result<std::uint64_t> rewrite_sparse_blocks(
    const std::shared_ptr<CollectionCore>& core);

}  // namespace vecserve::engine
