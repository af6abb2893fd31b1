// Finds out how wide a beam must be for which recall: answers a sample of queries exactly and by
// walks of several widths, and compares. Queries of late where there are enough of them, else rows
// of the collection. Run by graph_keeper when it has nothing else to do. Always holds: the curve
// rises; what is measured is not counted as a search of the caller's.
#pragma once

#include <functional>

#include "engine/collection_core.h"

namespace vecserve::engine {

// True when it has measured; a fraction of a second. Does nothing while what is known still holds.
[[nodiscard]] Result<bool> keep_effort(CollectionCore& core, const Graph& graph,
                                       const std::function<bool()>& stopping);

}  // namespace vecserve::engine
