// Keeps the graph of a collection: begins one when somebody has asked for approximate searches and
// there are enough rows, links new rows, moves the watermark, has dead rows repaired, and measures
// how much effort which recall takes. Works in slices of a few milliseconds on the thread that
// calls it. Always holds: whatever is late or fails here costs speed and never an answer; the
// watermark moves over a row only when it is linked or dead.
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

}  // namespace vecserve::engine
