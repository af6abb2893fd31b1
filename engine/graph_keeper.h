// Keeps the graph of a collection: begins one when somebody has asked for approximate searches and
// there are enough rows or one was saved, links new rows, moves the watermark, has dead rows
// repaired, measures how much effort which recall takes, and saves what it has done. Works in
// slices of a few milliseconds on the thread that calls it. Always holds: whatever is late or fails
// here costs speed and never an answer; the watermark moves over a row only when it is linked or
// dead; nothing is repaired while a copy is being written.
#pragma once

#include <functional>
#include <memory>

#include "engine/collection_core.h"

namespace vecserve::engine {

// Fewer rows are scanned as fast as a graph is walked.
inline constexpr std::uint64_t kGraphRowsMin = 2'000;

// One slice of the work that there is; false when there is none. `threads` at most link at once.
[[nodiscard]] Result<bool> keep_graph(const std::shared_ptr<CollectionCore>& core,
                                      std::uint32_t threads, const std::function<bool()>& stopping);

// Whether no more is to be linked, repaired or brought nearer until something changes.
[[nodiscard]] bool is_graph_at_rest(CollectionCore& core);

// Before the store is closed, when no pass runs any more: brings the copy in the store up to date,
// if enough has changed to be worth it, unless `late` says so first. The old copy is then left.
void save_graph(CollectionCore& core, const std::function<bool()>& late);

}  // namespace vecserve::engine
