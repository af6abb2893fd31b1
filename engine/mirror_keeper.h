// Keeps a GPU's mirror up with the collections: one pass brings over every published row that is
// not there yet, with its sketch where it has one and with the live bits of blocks that have dead
// rows, and forgets blocks that are gone. Runs on a background thread of its own, so that
// inserts do not wait for it nor searches for inserts. Always holds: only published rows go over,
// since those alone never change; a block that does not fit or fails stays with the CPU.
#pragma once

#include <memory>
#include <vector>

#include "engine/collection_core.h"
#include "engine/gpu/mirror.h"

namespace vecserve::engine {

void keep_mirror(gpu::Mirror& mirror, const std::vector<std::shared_ptr<CollectionCore>>& cores);

}  // namespace vecserve::engine
