// Removes rows whose time to live has passed. They are invisible from the moment it passes; this
// makes it final and lets their memory be given back. Runs on the background thread; the removal is
// a write like any other. Always holds: a row that was replaced since it expired is left alone.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/collection_core.h"

namespace vecserve::engine {

// One pass over a collection; returns how many rows were removed.
[[nodiscard]] Result<std::uint64_t> expire_rows(const std::shared_ptr<CollectionCore>& core);

}  // namespace vecserve::engine
