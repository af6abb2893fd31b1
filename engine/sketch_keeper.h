// Keeps the sketches of a collection: learns axes once there are enough rows to pay for them,
// learns again when the collection has grown fourfold or its new rows lie elsewhere, and sketches
// blocks as they fill. Runs on the background thread, one pass at a time; what it makes is
// published like a write. Always holds: a block without a sketch is scanned by its coarse plane, so
// whatever is late or fails here costs speed and never an answer; old axes serve until all blocks
// have the new ones.
#pragma once

#include <functional>
#include <memory>

#include "engine/collection_core.h"

namespace vecserve::engine {

// One pass; returns early when `stopping` says so. Seconds of one core for a million rows.
[[nodiscard]] Status keep_sketches(const std::shared_ptr<CollectionCore>& core,
                                   const std::function<bool()>& stopping);

}  // namespace vecserve::engine
